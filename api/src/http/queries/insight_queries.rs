//! The queries of insights: what each asks the tables of `POST /query`.
//!
//! Law: an insight is one SELECT and nothing else; `POST /query` answers its text with the same rows. All of them are of the
//! same runs: the newest that fit.

use everfold_engine::time::Timestamp;

/// Which runs insights are of, and from how many cases on they are worth a row.
#[derive(Debug, Clone)]
pub(super) struct InsightScope {
    /// Of this pipeline.
    pub(super) pipeline: Option<String>,
    /// That began then or later.
    pub(super) since: Option<Timestamp>,
    /// So many of them at most: the newest.
    pub(super) runs: usize,
    /// Gates and reworks with fewer cases are left out.
    pub(super) at_least: usize,
}

/// An insight.
#[derive(Debug)]
pub(in crate::http) struct Insight {
    /// Its name, one word.
    pub(in crate::http) name: &'static str,
    /// What it is called.
    pub(super) title: &'static str,
    /// What its rows are.
    pub(super) about: &'static str,
    /// What it means that there are none, also where nothing was judged: [`InsightScope::none_of`] says from how many cases on.
    none: &'static str,
    query: &'static str,
}

/// All of them, in the order in which they are shown.
pub(in crate::http) const INSIGHTS: [Insight; 5] = [
    Insight {
        name: "gates",
        title: "Gates that never failed",
        about: "Gates that passed each time they were judged. They cost time and hold nothing back, or what they look for is \
                prevented before.",
        none: "No gate that was judged AT_LEAST or more passed each time.",
        query: GATES,
    },
    Insight {
        name: "reworks",
        title: "Reworks that never helped",
        about: "Routes that sent a step back, after which what had sent it back never passed when it was judged next.",
        none: "No route that sent a step back AT_LEAST or more did so in vain each time.",
        query: REWORKS,
    },
    Insight {
        name: "flaky",
        title: "Flaky steps and gates",
        about: "Steps and gates that ended well and failed on the same commit; where no commit is known, in the same round of a \
                run (a gate: on the same attempt). A gate with another policy is another gate.",
        none: "No step and no gate had different results on the same commit.",
        query: FLAKY,
    },
    Insight {
        name: "time",
        title: "Where time goes",
        about: "How long attempts waited in queues, machines worked and people were waited for, in all runs together; percent \
                is the part of all that time.",
        none: "No step has taken any time.",
        query: TIME,
    },
    Insight {
        name: "cost",
        title: "Cost per success",
        about: "What the ended runs of a pipeline cost, those without success among them, for each run that succeeded.",
        none: "No ended run has cost anything.",
        query: COST,
    },
];

/// The runs that all insights are of.
const RUNS: &str = "select count(*) as runs, count(ended_at) as ended from chosen";

const GATES: &str = "\
select c.pipeline, substr(g.step, 1, instr(g.step || '.', '.') - 1) as step, g.gate,
  count(*) as verdicts, count(distinct g.run) as runs, max(g.at) as last_at
from chosen c cross join gates g on g.run = c.id
where g.verdict in ('pass', 'fail')
group by 1, 2, 3
having sum(g.verdict = 'fail') = 0 and count(*) >= AT_LEAST
order by verdicts desc, 1, 2, 3";

const REWORKS: &str = "\
judged as (
  select c.pipeline, c.ended_at, d.run, d.position, d.kind, d.route, d.gate,
    case d.kind when 'rework' then substr(d.route, 1, instr(d.route, '/') - 1)
      else substr(d.step, 1, instr(d.step || '.', '.') - 1) end as step,
    case d.kind when 'gate' then d.verdict = 'pass' when 'approval' then d.decision = 'approve' end as passed
  from chosen c cross join decisions d on d.run = c.id
  where d.kind in ('gate', 'approval', 'rework') and (d.verdict is null or d.verdict in ('pass', 'fail'))
),
followed as (
  select *, lead(passed) over (partition by run, step, gate order by position) as next from judged
),
reworks as (
  select pipeline, run, route, gate,
    case when next is not null then next
      when gate is null and ended_at is not null
      then (select s.status = 'succeeded' from steps s where s.run = f.run and s.id = f.step) end as helped
  from followed f where kind = 'rework'
)
select pipeline, route, gate, count(*) as reworks, count(distinct run) as runs
from reworks where helped is not null
group by 1, 2, 3
having sum(helped) = 0 and count(*) >= AT_LEAST
order by reworks desc, 1, 2, 3";

const FLAKY: &str = "\
ended as (
  select c.pipeline, a.run, a.step, a.round, a.attempt, a.head, a.failure_kind
  from chosen c cross join attempts a on a.run = c.id
  where a.ended_at is not null
),
results as (
  select pipeline, step, null as gate, null as policy, coalesce(head, run || '/' || round) as place, head,
    failure_kind is null as passed
  from ended
  where failure_kind is null or failure_kind in ('error', 'exit', 'crash', 'timeout')
  union all
  select c.pipeline, g.step, g.gate, g.policy_hash, coalesce(e.head, g.run || '/' || g.round || '/' || g.attempt), e.head,
    g.verdict = 'pass'
  from chosen c cross join gates g on g.run = c.id
    left join ended e on e.run = g.run and e.step = g.step and e.round = g.round and e.attempt = g.attempt
  where g.verdict in ('pass', 'fail')
),
mixed as (
  select pipeline, step, gate, head, count(*) as results, sum(not passed) as failed
  from results group by pipeline, step, gate, policy, place
  having sum(passed) > 0 and sum(passed) < count(*)
)
select pipeline, substr(step, 1, instr(step || '.', '.') - 1) as step, gate, count(*) as places,
  count(distinct head) as commits, sum(results) as results, sum(failed) as failed
from mixed
group by 1, 2, 3
order by failed desc, 1, 2, 3";

const TIME: &str = "\
times as (
  select c.pipeline, t.step, count(*) as runs, sum(t.queue_ms) as queue_ms, sum(t.machine_ms) as machine_ms,
    sum(t.people_ms) as people_ms, sum(t.queue_ms + t.machine_ms + t.people_ms) as total_ms
  from chosen c cross join step_times t on t.run = c.id
  group by 1, 2
)
select pipeline, step, runs, queue_ms, machine_ms, people_ms,
  round(100.0 * total_ms / sum(total_ms) over (), 1) as percent
from times
where total_ms > 0
order by total_ms desc, 1, 2";

const COST: &str = "\
select pipeline, count(*) as runs, sum(status = 'succeeded') as succeeded, round(sum(cost), 6) as cost,
  round(sum(iif(status = 'succeeded', 0, cost)), 6) as cost_without_success,
  round(sum(cost) / nullif(sum(status = 'succeeded'), 0), 6) as cost_per_success
from chosen
where ended_at is not null
group by 1
having sum(cost) > 0
order by sum(cost) desc, 1";

impl InsightScope {
    /// The query that counts the runs.
    pub(super) fn runs_query(&self) -> String {
        self.query(RUNS)
    }

    /// The query of an insight.
    pub(super) fn query_of(&self, insight: &Insight) -> String {
        self.query(insight.query)
    }

    /// What it means that an insight has no rows.
    pub(super) fn none_of(&self, insight: &Insight) -> String {
        let cases = match self.at_least {
            1 => "once".to_owned(),
            cases => format!("{cases} times"),
        };
        insight.none.replace("AT_LEAST", &cases)
    }

    fn query(&self, query: &str) -> String {
        let pipeline = self.pipeline.as_ref().map(|name| format!("pipeline = {}", quoted(name)));
        let since = self.since.map(|since| format!("started_at >= {}", quoted(&since.to_string())));
        let conditions: Vec<String> = pipeline.into_iter().chain(since).collect();
        let conditions = match conditions.as_slice() {
            [] => String::new(),
            all => format!("\n  where {}", all.join(" and ")),
        };
        let query = query.replace("AT_LEAST", &self.at_least.to_string());
        // Further common tables stand before the SELECT, behind a comma.
        let comma = if query.starts_with("select") { "" } else { "," };
        format!(
            "with chosen as materialized (\n  select id, pipeline, status, cost, ended_at from runs{conditions}\n  \
             order by position desc limit {}\n){comma}\n{query}",
            self.runs
        )
    }
}

/// A text as it stands in a query.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_has_the_runs_first_and_texts_in_quotes() {
        let scope =
            InsightScope { pipeline: Some("it's".into()), since: Some(Timestamp(0)), runs: 50, at_least: 4 };
        assert_eq!(
            scope.runs_query(),
            "with chosen as materialized (\n  select id, pipeline, status, cost, ended_at from runs\n  where \
             pipeline = 'it''s' and started_at >= '1970-01-01T00:00:00.000Z'\n  order by position desc limit 50\n)\n\
             select count(*) as runs, count(ended_at) as ended from chosen"
        );
        for insight in &INSIGHTS {
            assert!(!scope.query_of(insight).contains("AT_LEAST"), "{}", insight.name);
            assert!(!scope.none_of(insight).contains("AT_LEAST"), "{}", insight.name);
        }
    }

    #[test]
    fn what_no_rows_mean_names_from_how_many_cases_on_there_would_be_some() {
        let none = |at_least| {
            let scope = InsightScope { pipeline: None, since: None, runs: 50, at_least };
            [&INSIGHTS[0], &INSIGHTS[1]].map(|insight| scope.none_of(insight))
        };
        let said = [
            "No gate that was judged once or more passed each time.",
            "No route that sent a step back once or more did so in vain each time.",
        ];
        assert_eq!(none(1), said);
        assert_eq!(none(3), said.map(|said| said.replace("once", "3 times")));
    }
}
