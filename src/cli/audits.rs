//! What was found in a user's own files, of all sets that a plan trains on.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::plan::Plan;
use crate::task;
use crate::task::imported::audit::Audit;

type Found = (BTreeMap<String, Audit>, Vec<(&'static str, String)>);

/// Audits by content, and what they say, once where several sets are of the same files.
pub fn of(plan: &Plan) -> Result<Found> {
    let (mut audits, mut found) = (BTreeMap::new(), Vec::new());
    for run in &plan.runs {
        let task = &run.config.task;
        let Some(content) = task.settings.get("content").and_then(|content| content.as_str()) else { continue };
        if audits.contains_key(content) {
            continue;
        }
        if let Some(audit) = task::audit(task)? {
            for line in audit.lines(&task::classes(task)?) {
                if !found.contains(&line) {
                    found.push(line);
                }
            }
            audits.insert(content.to_owned(), audit);
        }
    }
    Ok((audits, found))
}
