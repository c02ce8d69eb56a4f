//! One JSON object that holds a whole table, as pandas' `to_json` and people's scripts write it.

use serde_json::{Map, Value};

/// The objects of the rows, where the object is a table: a list for each column (or an object of cells by row number),
/// an object for each row number, `columns` and `data`, one list of objects beside other things, or columns for each
/// curve.
pub fn rows(object: &Map<String, Value>) -> Option<Vec<Map<String, Value>>> {
    split(object)
        .or_else(|| by_number(object))
        .or_else(|| columns(object))
        .or_else(|| within(object))
        .or_else(|| curves(object))
}

type Rows = Option<Vec<Map<String, Value>>>;

/// `{"columns": [names], "data": [[cells]]}`.
fn split(object: &Map<String, Value>) -> Rows {
    let names: Vec<&str> = object.get("columns")?.as_array()?.iter().map(Value::as_str).collect::<Option<_>>()?;
    let row = |cells: &Value| {
        let cells = cells.as_array().filter(|cells| cells.len() == names.len())?;
        Some(names.iter().map(|name| (*name).to_owned()).zip(cells.iter().cloned()).collect())
    };
    object.get("data")?.as_array()?.iter().map(row).collect()
}

/// `{"0": {…}, "1": {…}}`, each a row.
fn by_number(object: &Map<String, Value>) -> Rows {
    numbered(object)?.into_iter().map(|row| row.as_object().cloned()).collect()
}

fn columns(object: &Map<String, Value>) -> Rows {
    let mut rows: Vec<Map<String, Value>> = Vec::new();
    for (place, (name, column)) in object.iter().enumerate() {
        let cells: Vec<&Value> = match column {
            Value::Array(cells) if cells.iter().all(|cell| !cell.is_object()) => cells.iter().collect(),
            Value::Object(cells) => numbered(cells)?,
            _ => return None,
        };
        match place {
            0 => rows.resize(cells.len(), Map::new()),
            _ if rows.len() != cells.len() => return None,
            _ => {}
        }
        for (row, cell) in rows.iter_mut().zip(cells) {
            row.insert(name.clone(), cell.clone());
        }
    }
    Some(rows)
}

/// The only list of objects.
fn within(object: &Map<String, Value>) -> Rows {
    let lists = object.values().filter_map(Value::as_array).filter(|list| list.iter().all(Value::is_object));
    let mut lists = lists.filter(|list| !list.is_empty());
    match (lists.next(), lists.next()) {
        (Some(only), None) => only.iter().map(|row| row.as_object().cloned()).collect(),
        _ => None,
    }
}

/// `{"vit": {"examples": […], "loss": […]}, …}`: the same columns of each curve.
fn curves(object: &Map<String, Value>) -> Rows {
    let mut rows = Vec::new();
    let mut names: Option<Vec<&String>> = None;
    for (curve, of_curve) in object {
        let of_curve = of_curve.as_object()?;
        let own: Vec<&String> = of_curve.keys().collect();
        if own.len() < 2 || of_curve.contains_key("arch") || *names.get_or_insert(own.clone()) != own {
            return None;
        }
        let named = |mut row: Map<String, Value>| {
            row.insert("arch".into(), curve.as_str().into());
            row
        };
        rows.extend(columns(of_curve)?.into_iter().map(named));
    }
    Some(rows)
}

/// The values in the order of their keys, where all of these are whole numbers.
fn numbered(object: &Map<String, Value>) -> Option<Vec<&Value>> {
    let keys = object.iter().map(|(key, value)| Some((key.parse::<u64>().ok()?, value)));
    let mut values: Vec<(u64, &Value)> = keys.collect::<Option<_>>()?;
    values.sort_by_key(|(key, _)| *key);
    (!values.is_empty()).then(|| values.into_iter().map(|(_, value)| value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let object: Value = serde_json::from_str(text).unwrap();
        rows(object.as_object().unwrap())
            .map_or("none".into(), |rows| rows.iter().map(|row| Value::Object(row.clone()).to_string()).collect())
    }

    #[test]
    fn every_layout_of_pandas_is_rows() {
        let wanted = r#"{"l":1,"n":{"a":3}}{"l":2,"n":null}"#;
        for text in [
            r#"{"l": {"0": 1, "1": 2}, "n": {"0": {"a": 3}, "1": null}}"#,
            r#"{"0": {"l": 1, "n": {"a": 3}}, "1": {"l": 2, "n": null}}"#,
            r#"{"columns": ["l", "n"], "index": [0, 1], "data": [[1, {"a": 3}], [2, null]]}"#,
            r#"{"by": "me", "runs": [{"l": 1, "n": {"a": 3}}, {"l": 2, "n": null}]}"#,
        ] {
            assert_eq!(shown(text), wanted, "{text}");
        }
        assert_eq!(shown(r#"{"l": [1, 2]}"#), r#"{"l":1}{"l":2}"#);
        let curves = r#"{"a": {"l": [1], "n": [2]}, "b": {"l": [3, 4], "n": [5, 6]}}"#;
        let rows = r#"{"l":1,"n":2,"arch":"a"}{"l":3,"n":5,"arch":"b"}{"l":4,"n":6,"arch":"b"}"#;
        assert_eq!(sorted(&shown(curves)), sorted(rows));
        // In the order of the numbers, not of the letters.
        let many: String = (0..11).map(|i| format!(r#""{i}": {{"l": {i}}},"#)).collect();
        assert!(shown(&format!("{{{}}}", many.trim_end_matches(','))).ends_with(r#"{"l":9}{"l":10}"#));
    }

    /// Keys may be in the order of their names.
    fn sorted(text: &str) -> Vec<char> {
        let mut letters: Vec<char> = text.chars().collect();
        letters.sort_unstable();
        letters
    }

    #[test]
    fn a_row_is_no_table() {
        for text in [
            r#"{"l": 1, "n": 2}"#,
            r#"{"l": 1, "shape": [1, 2]}"#,
            r#"{"l": [1], "n": [1, 2]}"#,
            r#"{"config": {"n": [1], "m": [2]}, "l": 1}"#,
        ] {
            assert_eq!(shown(text), "none", "{text}");
        }
    }
}
