//! What ORCH says of an agent's round and of a task that is done, word for word (O155–O177).

use std::collections::BTreeMap;

use super::plan::{Spent, money, tokens};

const BAR: &str = "━━━━━━━━━━━━━━━━━━━━━━";

/// The agents: the step, its role's name and icon, and its line in the live message.
const AGENTS: [(&str, &str, &str, &str); 7] = [
    (
        "analyst",
        "🔍 Analyst — Подготовил BRD / ТЗ / Acceptance Criteria. Для продвижения переведите задачу в статус Approved. Для отклонения — напишите причину комментом и переведите в Rejected.",
        "Analysis     ",
        "Analyst",
    ),
    (
        "architect",
        "📐 Architect — Завершил архитектурную проработку. См. ADR ниже.",
        "Architecture ",
        "Architect",
    ),
    ("developer", "💻 Developer — Завершил разработку. См. PR / branch ниже.", "Development  ", "Developer"),
    ("reviewer", "🔎 Reviewer — Завершил ревью изменений.", "Review       ", "Reviewer"),
    ("tester", "🧪 Tester — Завершил прогон тестов.", "Testing      ", "Tester"),
    ("staging", "🚀 Deployer — Завершил staging-деплой.", "Staging      ", "Deployer"),
    ("deployer", "🚀 Deployer — Завершил прод-деплой.", "Deploy       ", "Deployer"),
];
/// A person started an agent again.
pub const RELAUNCHED: &str = "🔄 Агент перезапущен с ответами стейкхолдера.";
/// The agent works without the comments of Plane.
pub const UNREAD: &str = "⚠️ Комментарии в Plane не прочитаны: агент работает без них.";

/// The analysis waits for its owner.
pub const WAITS: &str = "📋 {item}: BRD/ТЗ/AC готовы. Переведите задачу в статус Approved в Plane для продолжения.\n\n<a href=\"{folder}/01-brd.md\">📄 Открыть BRD</a>\n<a href=\"{task}\">✅ Задача в Plane</a>";

/// What each step has used up.
type Usage = BTreeMap<&'static str, Spent>;

/// The comment of an agent that has ended well.
pub fn status(step: &str, judged: &str, links: &[(&str, &str)], used: Spent) -> String {
    let says = AGENTS.iter().find(|agent| agent.0 == step).unwrap().1;
    let list: String =
        links.iter().map(|(name, path)| format!("<li><a href=\"{path}\">{name}</a></li>")).collect();
    let cached = match used.cached {
        0 => String::new(),
        cached => format!(" ({} cached)", tokens(cached)),
    };
    let used = format!(
        "<br><sub>{} in{cached} / {} out · {}</sub>",
        tokens(used.input + used.cached),
        tokens(used.output),
        money(used.micros)
    );
    format!("{says}{judged}<br>Длительность: {{T}}<br><b>Документы:</b><ul>{list}</ul>{used}")
}

/// Staging or the deployment failed: by its verdict, or the agent itself.
pub fn rolled_back(name: &str, reason: &str, has_ended: bool) -> String {
    let (gate, to) = match (has_ended, name) {
        (false, _) => ("Deploy", ""),
        (true, "Staging") => ("Staging gate", " to development"),
        (true, _) => ("Deploy", " to development"),
    };
    format!("❌ {gate} FAILED ({reason}). Rolled back{to}. Developer нужен для фикса.")
}

fn sum(usage: &Usage) -> Spent {
    let mut all = Spent::default();
    usage.values().for_each(|used| all.add(*used));
    all
}

/// The total of a task, and of each of its roles.
pub fn total(usage: &Usage) -> String {
    let all = sum(usage);
    let mut roles: BTreeMap<&str, Spent> = BTreeMap::new();
    for (step, _, _, role) in AGENTS {
        if let Some(used) = usage.get(step) {
            roles.entry(role).or_default().add(*used);
        }
    }
    let of_role = |(role, used): (&str, Spent)| {
        let (input, cached) = (tokens(used.input + used.cached), tokens(used.cached));
        let (output, cost) = (tokens(used.output), money(used.micros));
        format!("<br>{role}: {input} in ({cached} cached) / {output} out · {cost}")
    };
    let roles: String = roles.into_iter().map(of_role).collect();
    let (input, cached) = (tokens(all.input + all.cached), tokens(all.cached));
    let (output, cost) = (tokens(all.output), money(all.micros));
    format!("📊 Итого по задаче: {input} вход ({cached} cached) / {output} выход · {cost}{roles}")
}

/// The live message of a task that is done.
pub fn live(title: &str, pull: &str, usage: &Usage, is_self: bool) -> String {
    let all = sum(usage);
    let mut lines = vec![format!("🎉 {{item}} · {title} — ГОТОВО"), BAR.to_owned()];
    for (step, _, line, _) in AGENTS.iter().filter(|agent| agent.0 != "staging" || is_self) {
        let Some(used) = usage.get(step) else { continue };
        let (input, output) = (tokens(used.input + used.cached), tokens(used.output));
        lines.push(format!("✅ {line} {{T}} · {input}↓/{output}↑ · {} · opus-4-8", money(used.micros)));
        if *step == "analyst" {
            lines.push("⏸️ Ревью БРД     {T} · твоё время".to_owned());
        }
    }
    let (input, output) = (tokens(all.input + all.cached), tokens(all.output));
    lines.push(BAR.to_owned());
    lines.push(format!("💰 {input}↓ / {output}↑ · {}", money(all.micros)));
    lines.push("⏱️ Всего {T} · агенты {T} · твоё {T}".to_owned());
    lines.push(format!("🔗 PR #{pull} · 📦 artifact-only"));
    lines.join("\n")
}
