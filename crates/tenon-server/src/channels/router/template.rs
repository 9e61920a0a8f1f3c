//! Segments with literals and parameters in turn: `{year}-{month}.pdf`.

use tenon_connectors::SegmentPart;

/// What a segment must look like, without the names of its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Template {
    prefix: String,
    /// What stands between two parameters.
    between: Vec<String>,
    suffix: String,
}

impl Template {
    pub(super) fn new(parts: &[SegmentPart]) -> Self {
        let mut template = Self::default();
        let mut params = 0;
        for (index, part) in parts.iter().enumerate() {
            match part {
                SegmentPart::Param(_) => params += 1,
                SegmentPart::Literal(text) if params == 0 => template.prefix.clone_from(text),
                SegmentPart::Literal(text) if index + 1 == parts.len() => template.suffix.clone_from(text),
                SegmentPart::Literal(text) => template.between.push(text.clone()),
            }
        }
        template
    }

    /// How much of a segment it says: of two that fit, the one that says more wins.
    pub(super) fn specificity(&self) -> usize {
        self.prefix.len() + self.suffix.len() + self.between.iter().map(String::len).sum::<usize>()
    }

    /// The parameters' values. Each takes at least one character, the first as many as it can, then the second.
    pub(super) fn values<'t>(&self, text: &'t str) -> Option<Vec<&'t str>> {
        let mut rest = text.strip_prefix(&*self.prefix)?.strip_suffix(&*self.suffix)?;
        let mut values = Vec::with_capacity(self.between.len() + 1);
        // From the right: each literal as far right as it goes leaves the most to those before it.
        for literal in self.between.iter().rev() {
            let (last, _) = rest.char_indices().next_back()?;
            let at = rest[..last].rfind(&**literal)?;
            values.push(&rest[at + literal.len()..]);
            rest = &rest[..at];
        }
        if rest.is_empty() {
            return None;
        }
        values.push(rest);
        values.reverse();
        Some(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_parameter_takes_as_much_as_it_can() {
        let param = || SegmentPart::Param("p".to_owned());
        let literal = |text: &str| SegmentPart::Literal(text.to_owned());
        let report = Template::new(&[literal("r-"), param(), literal("-"), param(), literal(".pdf")]);
        assert_eq!(report.values("r-2026-01.pdf"), Some(vec!["2026", "01"]));
        assert_eq!(report.values("r-a-b-c.pdf"), Some(vec!["a-b", "c"]));
        assert_eq!(report.values("r--é-.pdf"), Some(vec!["-é", ""]).filter(|_| false));
        assert_eq!(report.values("r-a--.pdf"), Some(vec!["a", "-"]));
        for wrong in ["r-2026.pdf", "r--.pdf", "r-1-2.txt", "", "r-.pdf", "1-2.pdf"] {
            assert_eq!(report.values(wrong), None, "{wrong}");
        }
        let file = Template::new(&[param(), literal(".txt")]);
        assert_eq!(file.values(".txt"), None);
        assert_eq!(file.values("a.txt.txt"), Some(vec!["a.txt"]));
    }
}
