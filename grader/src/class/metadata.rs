//! Whose submission it is, by the file that Gradescope puts beside them: `submission_metadata.yml`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::names::Named;

/// The students by their submissions' folders; none where there is no such file, or it says nothing.
///
/// Only three lines of it are looked at, which Gradescope writes the same each time:
///
/// ```text
/// submission_123:
///   :submitters:
///   - :name: Ada Lovelace
///     :sid: '1815'
/// ```
#[must_use]
pub fn read(folder: &Path) -> BTreeMap<String, Named> {
    let text = fs::read_to_string(folder.join("submission_metadata.yml")).unwrap_or_default();
    of_text(&text)
}

fn of_text(text: &str) -> BTreeMap<String, Named> {
    let mut students: BTreeMap<String, Named> = BTreeMap::new();
    let mut submission = None;
    for line in text.lines() {
        if let Some(name) = line.strip_suffix(':').filter(|name| name.starts_with("submission_")) {
            submission = Some(name.to_owned());
        }
        let Some(submission) = &submission else { continue };
        let value = |key: &str| {
            let (_, value) = line.trim_start_matches([' ', '-']).split_once(key)?;
            Some(value.trim().trim_matches(['\'', '"']).to_owned()).filter(|value| !value.is_empty())
        };
        let student = || Named {
            id: submission.clone(),
            name: submission.clone(),
            ..Named::default()
        };
        // Of a group the first name counts.
        if let Some(name) = value(":name:").filter(|_| !students.contains_key(submission)) {
            students.insert(submission.clone(), Named { name, ..student() });
        } else if let Some(sid) = value(":sid:")
            && let Some(student) = students.get_mut(submission).filter(|student| student.id == *submission)
        {
            student.id = sid;
        }
    }
    students
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_submitter_counts() {
        let text = "---\nsubmission_7:\n  :submitters:\n  - :name: Ada Lovelace\n    :sid: '1815'\n    :email: a@b\n  \
                    - :name: Ben\n    :sid: '2'\n  :created_at: 2026-01-31\nsubmission_8:\n  :submitters:\n  - :name: \
                    \"Eva\"\n    :sid: \n";
        let students = of_text(text);
        let of = |name: &str| (students[name].id.as_str(), students[name].name.as_str());
        assert_eq!(of("submission_7"), ("1815", "Ada Lovelace"));
        assert_eq!(of("submission_8"), ("submission_8", "Eva"));
        assert!(of_text("no such file").is_empty());
    }
}
