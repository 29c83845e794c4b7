//! A span's fields as JSON, written when the span begins. Every request has a span, and few of them a line
//! in the log: what tracing-subscriber brings sorts the fields in a map and costs a tenth of a quick read.

use std::fmt;

use tracing::{
    field::{Field, Visit},
    span::Record,
};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{FormatFields, FormattedFields, format::Writer},
};

/// Writes the fields of a span in the order in which they were given.
pub(super) struct SpanFields;

impl<'w> FormatFields<'w> for SpanFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        writer.write_char('{')?;
        let mut object = Object { writer, first: true, written: Ok(()) };
        fields.record(&mut object);
        object.written?;
        object.writer.write_char('}')
    }

    fn add_fields(&self, current: &'w mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        current.fields.pop();
        let first = current.fields.len() <= 1;
        let mut object = Object { writer: current.as_writer(), first, written: Ok(()) };
        fields.record(&mut object);
        object.written?;
        object.writer.write_char('}')
    }
}

struct Object<'w> {
    writer: Writer<'w>,
    first: bool,
    written: fmt::Result,
}

impl Object<'_> {
    fn add(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        let comma = if std::mem::take(&mut self.first) { "" } else { "," };
        let begun = write!(self.writer, "{comma}\"{}\":", field.name());
        self.written = self.written.and(begun).and_then(|()| value(&mut self.writer));
    }
}

impl Visit for Object<'_> {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, |writer| write!(writer, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, |writer| write!(writer, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, |writer| write!(writer, "{value}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, |writer| text(writer, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, |writer| text(writer, &format!("{value:?}")));
    }
}

fn text(writer: &mut Writer<'_>, value: &str) -> fmt::Result {
    if value.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')) {
        return write!(writer, "\"{value}\"");
    }
    writer.write_str(&serde_json::to_string(value).map_err(|_| fmt::Error)?)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};

    use super::*;

    /// The line that is logged inside of the span.
    fn logged(inside: impl FnOnce()) -> Value {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&lines);
        let log = tracing_subscriber::fmt().json().with_span_list(false).fmt_fields(SpanFields);
        let log = log.with_writer(move || Lines(Arc::clone(&to))).finish();
        tracing::subscriber::with_default(log, inside);
        let lines = lines.lock().unwrap();
        serde_json::from_slice::<Value>(&lines).unwrap()["span"].take()
    }

    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn fields_of_every_kind_are_json() {
        let forged = "a\n{\"level\":\"ERROR\"}\\";
        let span = logged(|| {
            let late = tracing::field::Empty;
            let span =
                tracing::info_span!("s", n = 7_u64, i = -7, yes = true, plain = "a b", forged, d = ?Some(1), late);
            span.record("late", 3);
            let _in = span.enter();
            tracing::info!("a line");
        });
        let expected = json!({
            "name": "s", "n": 7, "i": -7, "yes": true, "plain": "a b", "forged": forged, "d": "Some(1)", "late": 3
        });
        assert_eq!(span, expected);
    }

    #[test]
    fn a_span_without_fields_may_be_given_some() {
        let span = logged(|| {
            let span = tracing::info_span!("s", late = tracing::field::Empty);
            span.record("late", "x");
            let _in = span.enter();
            tracing::info!("a line");
        });
        assert_eq!(span, json!({ "name": "s", "late": "x" }));
    }
}
