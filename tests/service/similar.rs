//! Whether what a document shows is what is printed, but for what is another each time.
//!
//! `…` stands for anything: in a text for a part of it, as a value for any, as a member for further members, as the
//! last entry of an array for further entries. Ids and times stand for any. A number with decimals is one that rounds
//! to it.

use safire_domain::Timestamp;
use serde_json::Value;
use uuid::Uuid;

const ANY: &str = "…";

/// How the printed value differs from what is shown, and where.
pub fn json_differs(at: &str, shown: &Value, printed: &Value) -> Option<String> {
    let is_same = match (shown, printed) {
        (Value::Object(shown), Value::Object(_)) => {
            let at_member = |name: &str| format!("{at}/{name}");
            let members = shown.iter().filter(|(name, _)| *name != ANY);
            let differs = members
                .map(|(name, value)| json_differs(&at_member(name), value, &printed[name]))
                .find(Option::is_some);
            return differs.flatten().or_else(|| further(at, shown.contains_key(ANY), shown, printed));
        }
        (Value::Array(shown), Value::Array(all)) => {
            let (shown, open) = match shown.split_last() {
                Some((last, rest)) if last == ANY => (rest, true),
                _ => (shown.as_slice(), false),
            };
            let differs = (0..).zip(shown).find_map(|(index, value)| {
                json_differs(&format!("{at}/{index}"), value, all.get(index).unwrap_or(&Value::Null))
            });
            let is_whole = shown.len() == all.len() || (open && shown.len() < all.len());
            return differs
                .or_else(|| (!is_whole).then(|| format!("{at}: {} entries, not {}", all.len(), shown.len())));
        }
        (Value::String(shown), _) if shown == ANY => true,
        (Value::String(shown), Value::String(printed)) => text_is(shown, printed),
        (Value::Number(shown), Value::Number(printed)) => number_is(shown, printed),
        _ => shown == printed,
    };
    (!is_same).then(|| format!("{at}: shown is {shown}, printed is {printed}"))
}

/// Members that are printed and not shown.
fn further(at: &str, open: bool, shown: &serde_json::Map<String, Value>, printed: &Value) -> Option<String> {
    let printed = printed.as_object()?;
    let further: Vec<_> = printed.keys().filter(|name| !shown.contains_key(*name)).collect();
    (!open && !further.is_empty())
        .then(|| format!("{at}: there are also {further:?}: show them, or \"{ANY}\": \"{ANY}\""))
}

/// The same, with anything for `…`; any other id or time for one that is shown.
fn text_is(shown: &str, printed: &str) -> bool {
    let is_id = |text: &str| Uuid::try_parse(text).is_ok();
    let is_time = |text: &str| text.contains('T') && text.parse::<Timestamp>().is_ok();
    matches(shown, printed) || (is_id(shown) && is_id(printed)) || (is_time(shown) && is_time(printed))
}

fn matches(shown: &str, printed: &str) -> bool {
    let Some((start, rest)) = shown.split_once(ANY) else { return shown == printed };
    let Some(mut left) = printed.strip_prefix(start) else { return false };
    let mut parts: Vec<_> = rest.split(ANY).collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((_, after)) = left.split_once(part) else { return false };
        left = after;
    }
    left.ends_with(end)
}

fn number_is(shown: &serde_json::Number, printed: &serde_json::Number) -> bool {
    if !shown.is_f64() {
        return shown == printed;
    }
    let (Some(value), Some(printed)) = (shown.as_f64(), printed.as_f64()) else { return false };
    let decimals = shown.to_string().split_once('.').map_or(0, |(_, decimals)| decimals.len());
    (value - printed).abs() <= 0.51 * 10f64.powi(-(decimals as i32))
}

/// The first line that is shown and not printed, in this order; spaces count once.
pub fn text_differs(shown: &str, printed: &str) -> Option<String> {
    let lines = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    let printed = lines(printed);
    let mut left = printed.iter();
    let missing = |line: &String| !line.is_empty() && !left.by_ref().any(|printed| matches(line, printed));
    lines(shown).into_iter().filter(|line| line != ANY).find(missing).map(|line| format!("it does not print {line:?}"))
}

#[test]
fn what_is_shown_is_held_against_what_is_printed() {
    use serde_json::json;
    let id = "01a1f914-e4c8-7d26-be8e-d1e3f79d9011";
    let shown = json!({ "id": id, "at": "2026-11-20T09:30:00Z", "lcop": 1495.81, "items": [1, "…"], "text": "a … c" });
    let printed = json!({ "id": "01a1fea5-4659-70cc-af21-6d1e0b97a29b", "at": "2026-12-01T06:25:31.123456Z",
                          "lcop": 1495.814340, "items": [1, 2, 3], "text": "a b c" });
    assert_eq!(json_differs("", &shown, &printed), None);
    let with = |name: &str, value: Value| {
        let mut printed = printed.clone();
        printed[name] = value;
        json_differs("", &shown, &printed)
    };
    let wrong = [
        ("id", json!("x")),
        ("at", json!("today")),
        ("lcop", json!(1495.82)),
        ("items", json!([2, 2])),
        ("text", json!("a b")),
    ];
    for (name, value) in wrong {
        assert!(with(name, value).is_some_and(|why| why.starts_with(&format!("/{name}"))), "{name}");
    }
    assert!(with("new", json!(1)).is_some_and(|why| why.contains("new")));
    assert_eq!(json_differs("", &json!({ "…": "…" }), &printed), None);
    assert!(json_differs("", &json!([1]), &json!([1, 2])).is_some());
    assert_eq!(text_differs("LCOP  … USD/t\n…\nIRR 85.52 %", "x\nLCOP 1495.81   USD/t\ny\n IRR 85.52 %\n"), None);
    assert!(text_differs("IRR\nLCOP", "LCOP\nIRR").is_some());
}
