//! Pictures of the built-in pipeline and of a graph with branches.

use everfold_engine::definition::{Definition, NoFiles, parse};

use super::{GraphDetail, drawing, svg, text};

fn read(source: &str) -> Definition {
    match parse(source, "pipeline.yaml", &NoFiles) {
        Ok(checked) => checked.definition,
        Err(problems) => panic!("{problems}"),
    }
}

fn example() -> Definition {
    read(
        "name: delivery\ndescription: Builds <all> & ships\nsteps:\n  \
         - {id: analyse, agent: {role: analyst, prompt: do it}, gates: [{id: ready, frontmatter: {file: a.md, fields: [s], pass: [OK]}, on_fail: {rework: analyse, max: 2}}]}\n  \
         - {id: approve, approval: {title: Go on, roles: [product], on_reject: {rework: analyse}}}\n  \
         - {id: fix-ci, standby: true, agent: {role: fixer, prompt: fix}}\n  \
         - {id: build, needs: [approve], when: run.title != 'dry', agent: {role: developer, prompt: build}, gates: [{id: tests, command: make test, on_fail: {rework: build}}, {diff: {max_files: 40}}]}\n  \
         - {id: lint, needs: [approve], command: make lint}\n  \
         - {id: ci, needs: [build, fix-ci, lint], gates: [{id: status, command: './ci ${workspace == null}', poll: {every: 30s, timeout: 1h}, on_fail: {rework: fix-ci, max: 10, then: block}}]}\n  \
         - {id: platforms, foreach: {in: [linux, macos], as: platform}, command: './build.sh ${platform}'}\n  \
         - {id: settle, needs: [ci], wait: {for: 10m}}\n  \
         - {id: ship, needs: [platforms, settle], function: git.merge, on_fail: {rework: build, max: 1}}\n\
         on_finish:\n  - {id: tidy, command: make clean}\n  - {id: tell, command: ./tell.sh}\n",
    )
}

#[test]
fn a_pipeline_as_text() {
    insta::assert_snapshot!(text(&example()));
}

#[test]
fn a_pipeline_as_svg() {
    let picture = svg(&example());
    assert!(picture.starts_with("<svg ") && picture.trim_end().ends_with("</svg>"));
    assert!(picture.contains("Builds &lt;all&gt; &amp; ships") && !picture.contains("<all>"));
    assert!(!picture.contains("<script") && !picture.contains("NaN") && !picture.contains("inf"));
    assert_eq!(picture.matches("class=\"back\"").count(), 5);
    assert_eq!(picture, svg(&example()), "equal definitions give equal pictures");
    if let Ok(path) = std::env::var("EVERFOLD_SHOW_SVG") {
        std::fs::write(path, picture).unwrap();
    }
}

#[test]
fn odd_graphs_are_drawn() {
    for steps in [
        "  - {id: a, command: x}",
        "  - {id: a, command: x}\n  - {id: b, needs: [], command: x}\n  - {id: c, needs: [], command: x}\n  - {id: d, needs: [a, b, c], command: x}",
        "  - {id: z, needs: [a], command: x}\n  - {id: a, needs: [], command: x, on_fail: {rework: a}}",
    ] {
        let definition = read(&format!("name: x\nsteps:\n{steps}\n"));
        assert!(text(&definition).contains("x"));
        assert!(!svg(&definition).contains("NaN"));
    }
}

#[test]
fn what_surrounds_the_steps_is_drawn() {
    let definition = read(
        "name: x\nconfig: {team: [team.yaml, {level: 1}]}\nkey: 'issue-${input.n}'\nadmit: [{id: on, config: team.on, policy: evidence.value}]\n\
         concurrency: {key: '${input.repo}', limit: 3}\nbudget: [{cost: 5 USD, wall: 4h}, {id: daily, scope: team, per: day, tokens: 2_000, on_over: stop}]\n\
         secrets: {TOKEN: {env: T}}\non_signal: {stop: {finish: cancelled}}\n\
         triggers: [{hook: gitea, when: event.x == 1, start: {}, signal: again}, {schedule: {cron: '30 7 * * mon', zone: Europe/Berlin}, signal: s, to: {labels: {a: b}}}]\n\
         notify: [{id: n, events: [RunFailed], function: notify.file}]\nsteps:\n  \
         - {id: ask, question: {title: q, roles: [product], timeout: 1d, on_timeout: continue}, on_signal: {reply: {answer: '${signal.text}'}}}\n  \
         - {id: call, http: {url: 'https://example.org/${input.n}', body: 1}, deadline: 2h}\n  \
         - {id: child, needs: [ask], run: release}\n  \
         - {id: both, needs: {any: [call, child]}, wait: {signal: go}, gates: [{all: [{ci: {provider: p, sha: abc}}, {not: {file: x}}], on_fail: {rework: ask, hold: true, max: unlimited}}]}\n",
    );
    insta::assert_snapshot!(text(&definition));
}

#[test]
fn a_drawing_has_room_for_every_box() {
    for detail in [GraphDetail::Full, GraphDetail::Names] {
        let graph = serde_json::to_value(drawing(&example(), detail, &[])).unwrap();
        let number = |value: &serde_json::Value| value.as_f64().unwrap();
        let (width, height) = (number(&graph["width"]), number(&graph["height"]));
        let nodes = graph["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), 11);
        for node in nodes {
            let [x, y, wide, high] = ["x", "y", "width", "height"].map(|name| number(&node[name]));
            assert!(x >= 0.0 && y >= 0.0 && x + wide <= width && y + high <= height, "{node}");
        }
        let platforms = nodes.iter().find(|node| node["id"] == "platforms").unwrap();
        assert_eq!(platforms["foreach"], true);
        assert_eq!(graph["backs"].as_array().unwrap().len(), 5);
        assert!(graph["arrows"][0]["points"][0]["x"].is_number());
    }
}

/// Steps one behind the other, as many as are named.
fn chain(steps: &[&str]) -> Definition {
    let steps: Vec<String> = steps.iter().map(|step| format!("  - {{{step}}}\n")).collect();
    read(&format!("name: x\nsteps:\n{}", steps.concat()))
}

fn names(graph: &serde_json::Value, of: &str) -> Vec<String> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let each = |one: &serde_json::Value| format!("{} {}", text(&one["from"]), text(&one["to"]));
    graph[of].as_array().unwrap().iter().map(each).collect()
}

#[test]
fn steps_that_are_folded_leave_the_needs_and_routes_of_the_others() {
    let steps = chain(&[
        "id: a, command: x",
        "id: why, command: x",
        "id: b, command: x",
        "id: c, needs: [a, b], command: x, on_fail: {rework: why}",
    ]);
    let drawn = |folded: &[&str]| {
        let folded: Vec<String> = folded.iter().map(|id| (*id).to_owned()).collect();
        serde_json::to_value(drawing(&steps, GraphDetail::Names, &folded)).unwrap()
    };
    let all = drawn(&[]);
    assert_eq!(
        (names(&all, "arrows"), names(&all, "backs")),
        (vec!["a why".to_owned(), "why b".to_owned(), "b c".to_owned()], vec!["c why".to_owned()],)
    );
    let folded = drawn(&["why"]);
    assert_eq!(
        (names(&folded, "arrows"), names(&folded, "backs")),
        (vec!["b c".to_owned(), "a b".to_owned()], vec!["c b".to_owned()],)
    );
    assert!(folded["height"].as_f64() < all["height"].as_f64());
    assert_eq!(drawn(&["a", "why", "b", "c"])["nodes"], serde_json::json!([]));
}

#[test]
fn a_signal_that_sends_many_steps_back_is_said_once() {
    let back = "on_signal: {rejected: {rework: a, max: 9}}";
    let steps: Vec<String> =
        ["a", "b", "c", "d"].iter().map(|id| format!("id: {id}, command: x, {back}")).collect();
    let drawn = |count: usize| {
        let steps: Vec<&str> = steps[..count].iter().map(String::as_str).collect();
        serde_json::to_value(drawing(&chain(&steps), GraphDetail::Names, &[])).unwrap()
    };
    assert_eq!(names(&drawn(3), "backs"), ["a a", "b a", "c a"]);
    let (many, said) = (drawn(4), "signal rejected sends 4 of the steps back");
    assert!(names(&many, "backs").is_empty());
    assert!(many["about"].as_array().unwrap().iter().any(|line| line == said), "{}", many["about"]);
}
