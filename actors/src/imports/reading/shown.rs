//! Number formats of workbooks (ECMA-376, part 1, 18.8.31), and what they make of a number: a cell's author meant what it
//! shows.

use safire_domain::table::Cell;

/// A number format.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shown {
    /// By the sections of a format: all numbers; or positive and negative ones; or these and zero.
    sections: Vec<Section>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Section {
    /// Signs for percent: each shows a hundredfold.
    percents: usize,
    /// Commas behind the last digit: each shows a thousandth.
    thousandths: usize,
    /// The text before the digits and the one behind them.
    before: String,
    behind: String,
}

impl Shown {
    pub fn by(format: &str) -> Self {
        Self { sections: sections(format).iter().map(|section| Section::of(section)).collect() }
    }

    /// The cell that shows this number.
    pub fn of(&self, number: f64) -> Cell {
        let section = match (&self.sections[..], number) {
            ([_, negative, ..], ..0.0) => Some(negative),
            ([_, _, zero, ..], 0.0) => Some(zero),
            (sections, _) => sections.first(),
        };
        section.map_or(Cell::Number(number, String::new()), |section| section.show(number))
    }
}

/// The sections of a format, each as its tokens.
fn sections(format: &str) -> Vec<Vec<Token>> {
    let mut sections = vec![Vec::new()];
    // The word of a format that shows a number as it is.
    let format = format.replace("General", "0");
    let mut rest = format.chars().peekable();
    while let Some(c) = rest.next() {
        let token = match c {
            ';' => {
                sections.push(Vec::new());
                continue;
            }
            '"' => Token::Literal(rest.by_ref().take_while(|c| *c != '"').collect()),
            '\\' => Token::Literal(rest.next().into_iter().collect()),
            // As wide as the next, or filled with it: nothing that says anything.
            '_' | '*' => {
                rest.next();
                continue;
            }
            '[' => Token::Literal(currency(&rest.by_ref().take_while(|c| *c != ']').collect::<String>())),
            '%' => Token::Percent,
            ',' => Token::Comma,
            '0' | '#' | '?' | '@' => Token::Digit,
            '.' | '/' => Token::Mark,
            'E' | 'e' if rest.next_if(|c| matches!(c, '+' | '-')).is_some() => Token::Mark,
            c => Token::Literal(c.to_string()),
        };
        if let Some(section) = sections.last_mut() {
            section.push(token);
        }
    }
    sections
}

/// `[$€-407]` shows `€`; colours, conditions and calendars show nothing.
fn currency(bracket: &str) -> String {
    let shown = bracket.strip_prefix('$').and_then(|shown| shown.split('-').next());
    shown.unwrap_or_default().to_owned()
}

#[derive(Debug, PartialEq)]
enum Token {
    Digit,
    Mark,
    Comma,
    Percent,
    Literal(String),
}

impl Section {
    fn of(tokens: &[Token]) -> Self {
        let mut section = Self::default();
        let last = tokens.iter().rposition(|token| *token == Token::Digit);
        for (at, token) in tokens.iter().enumerate() {
            match token {
                Token::Percent => section.percents += 1,
                Token::Comma if last.is_some_and(|last| at > last) => section.thousandths += 1,
                Token::Literal(text) if last.is_some_and(|last| at > last) => section.behind.push_str(text),
                Token::Literal(text) => section.before.push_str(text),
                Token::Digit | Token::Mark | Token::Comma => {}
            }
        }
        section.before = without_signs(&section.before, &["US$", "USD", "$"]);
        section.behind = without_signs(&section.behind, &["US$", "$"]);
        section
    }

    fn show(&self, number: f64) -> Cell {
        if self.thousandths > 0 {
            return Cell::Other("a number of which its format shows thousandths".to_owned());
        }
        if !self.before.is_empty() {
            return Cell::Other(format!("\"{}\" before a number", self.before));
        }
        let percent = if self.percents > 0 { "%" } else { "" };
        let unit = format!("{percent}{}", self.behind);
        // In decimals, so that 0.07 is 7, and not 7.000000000000001.
        let shown = format!("{number}e{}", 2 * self.percents).parse();
        shown.map_or_else(|_| Cell::Other("no number".to_owned()), |shown| Cell::Number(shown, unit))
    }
}

/// A text without the signs of a negative number and those names of the dollar, in which all prices are.
fn without_signs(text: &str, dollars: &[&str]) -> String {
    let text = text.trim_matches(['(', ')', '-', '+', ' ', '\u{a0}']);
    let text = dollars.iter().find_map(|dollar| text.strip_prefix(dollar)).unwrap_or(text);
    text.trim_matches(['(', ')', '-', '+', ' ', '\u{a0}']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cell_shows_is_what_it_says() {
        let number = |number: f64, unit: &str| Cell::Number(number, unit.to_owned());
        for (format, value, expected) in [
            ("General", 0.07, number(0.07, "")),
            ("0%", 0.07, number(7.0, "%")),
            ("0.00%", 0.0725, number(7.25, "%")),
            ("0.0 %", 1e-9, number(1e-7, "%")),
            ("#,##0.00", 1250.5, number(1250.5, "")),
            ("#,##0 ;[Red](#,##0)", -250.0, number(-250.0, "")),
            ("_($* #,##0.00_);_($* (#,##0.00);_($* \"-\"??_);_(@_)", 930.0, number(930.0, "")),
            ("0.00E+00", 2.5e8, number(2.5e8, "")),
            ("0\" kt/yr\"", 250.0, number(250.0, "kt/yr")),
            ("0.00\\ \\U\\S\\D\\/\\t", 930.0, number(930.0, "USD/t")),
            ("\"US$\"0", 930.0, number(930.0, "")),
            ("@", 930.0, number(930.0, "")),
            ("[Blue][>=100]0", 930.0, number(930.0, "")),
            ("0.0,", 250_000.0, Cell::Other("a number of which its format shows thousandths".to_owned())),
            ("[$€-407]#,##0.00", 930.0, Cell::Other("\"€\" before a number".to_owned())),
            ("#,##0.00 [$€-407]", 930.0, number(930.0, "€")),
        ] {
            assert_eq!(Shown::by(format).of(value), expected, "{format}");
        }
    }
}
