//! Figures, for people and for machines.

use std::fmt;

use serde::Serialize;

/// One figure with what belongs to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// What was measured.
    pub name: &'static str,
    /// The figure.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// Further figures of the same measurement, by name with unit.
    pub more: Vec<(&'static str, f64)>,
}

impl Figure {
    /// Adds a further figure.
    pub(crate) fn with(&mut self, name: &'static str, value: f64) -> &mut Self {
        self.more.push((name, value));
        self
    }
}

/// Everything that was measured, in order; the raw limits of the disk first.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct BenchReport {
    /// The figures.
    pub figures: Vec<Figure>,
}

impl BenchReport {
    pub(crate) fn add(&mut self, name: &'static str, value: f64, unit: &'static str) -> &mut Figure {
        self.figures.push(Figure { name, value, unit, more: Vec::new() });
        let last = self.figures.len() - 1;
        &mut self.figures[last]
    }
}

impl fmt::Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for figure in &self.figures {
            let more: Vec<String> = figure
                .more
                .iter()
                .map(|(name, value)| format!("{} {}", name.replace('_', " "), short(*value)))
                .collect();
            writeln!(
                f,
                "{:<42}{:>10} {:<9} {}",
                figure.name,
                short(figure.value),
                figure.unit,
                more.join(", ")
            )?;
        }
        Ok(())
    }
}

/// Three figures that count, and thousands apart.
fn short(value: f64) -> String {
    if value >= 1_000.0 {
        let whole = format!("{value:.0}");
        let mut text = String::new();
        for (at, digit) in whole.chars().enumerate() {
            if at > 0 && (whole.len() - at).is_multiple_of(3) {
                text.push(' ');
            }
            text.push(digit);
        }
        return text;
    }
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else if value >= 1.0 {
        2
    } else {
        4
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shown_with_three_that_count() {
        let shown: Vec<String> = [31_234.4, 999.6, 42.44, 3.175, 0.061_23].map(short).into();
        assert_eq!(shown, ["31 234", "1000", "42.4", "3.17", "0.0612"]);
    }
}
