//! One field of a cron expression: lists, ranges and steps of numbers or names.

/// What a field may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct FieldRule {
    /// What the field is called in messages.
    pub(super) label: &'static str,
    /// The least number.
    pub(super) min: u8,
    /// The greatest number.
    pub(super) max: u8,
    /// Names of numbers, the first for `names_from`.
    pub(super) names: &'static [&'static str],
    /// The number of the first name.
    pub(super) names_from: u8,
}

impl FieldRule {
    /// The bits that one item of a list (`*`, `5`, `1-5`, `*/10`, `MON-FRI`) sets.
    pub(super) fn bits(&self, item: &str) -> Result<u64, String> {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(self.step(item, step)?)),
            None => (item, None),
        };
        let (first, last) = if range == "*" || range == "?" {
            (self.min, self.max)
        } else if let Some((first, last)) = range.split_once('-') {
            (self.number(first)?, self.number(last)?)
        } else {
            let number = self.number(range)?;
            // `5/10` means: from 5 on, every tenth.
            (number, if step.is_some() { self.max } else { number })
        };
        // Sunday may end a range, as 0 or by its name.
        let last = if self.max == 7 && last == 0 && first > 0 {
            7
        } else {
            last
        };
        if last < first {
            return Err(format!("the {} range '{range}' goes backwards", self.label));
        }
        Ok((first..=last)
            .step_by(usize::from(step.unwrap_or(1)))
            .fold(0, |bits, number| bits | 1 << number))
    }

    /// One number or name.
    pub(super) fn number(&self, text: &str) -> Result<u8, String> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        if let Some(place) = named {
            return Ok(self.names_from + u8::try_from(place).expect("fewer than 13 names"));
        }
        text.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse::<u8>().ok())
            .flatten()
            .filter(|number| (self.min..=self.max).contains(number))
            .ok_or_else(|| format!("'{text}' is not a {} ({} to {})", self.label, self.min, self.max))
    }

    fn step(&self, item: &str, text: &str) -> Result<u8, String> {
        text.parse::<u8>()
            .ok()
            .filter(|step| *step > 0 && *step <= self.max)
            .ok_or_else(|| {
                format!(
                    "'{text}' in '{item}' is not a step of {} (1 to {})",
                    self.label, self.max
                )
            })
    }
}
