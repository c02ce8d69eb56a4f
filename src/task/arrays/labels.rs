//! Labels that are numbers: which classes they stand for.

use crate::error::{Error, Result};
use crate::task::imported::MOST_CLASSES;

/// Classes of labels, counted from 0, and what they are called. Without `first_label` the first class is 0, and has to have
/// an image: labels from 1 are mostly meant to be counted from 1.
pub fn number_classes(labels: &[i64], first_label: Option<i64>) -> Result<(Vec<u16>, Vec<String>)> {
    let (least, most) = (labels.iter().min().copied().unwrap_or(0), labels.iter().max().copied().unwrap_or(0));
    let (first, room) = (first_label.unwrap_or(0), MOST_CLASSES as i64);
    if least < first || most.saturating_sub(first) >= room {
        let outside = if least < first { least } else { most };
        let error = Error::bad_input(format!(
            "there is a label {outside}, and with first_label = {first} labels are {first} to {}",
            first.saturating_add(room - 1)
        ));
        return Err(error.hint(match most.saturating_sub(least) < room {
            true => format!("labels are {least} to {most}: first_label = {least}"),
            false => "labels are numbers of classes: np.unique(y, return_inverse=True)[1] numbers them".into(),
        }));
    }
    if first_label.is_none() && least > 0 {
        return Err(Error::bad_input(format!("labels are {least} to {most}: none is of class 0"))
            .hint(format!("first_label = {least}; or first_label = 0, where class 0 has no image")));
    }
    let classes = (first..=most).map(|class| class.to_string()).collect();
    Ok((labels.iter().map(|label| (label - first) as u16).collect(), classes))
}
