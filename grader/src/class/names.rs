//! Whose submission it is, by the name that the platform gave it.

/// What a name says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// The platform's number or login; the whole name where it has none.
    pub id: String,
    /// The student's name.
    pub name: String,
    /// Whether the platform marked it as late.
    pub late: bool,
    /// Which of several uploads of one student this is: the highest is the last.
    pub attempt: u64,
}

/// By the name of a folder, or of an archive without its `.zip`:
///
/// - Moodle: `Ada Lovelace_123_assignsubmission_file`, with or without a file's name behind it
/// - Canvas: `lovelaceada_LATE_44_55_homework-1`, the number of the student and that of the upload
/// - ILIAS: `Lovelace_Ada_ada1815_123`, the login and the number of the student
/// - others, such as GitHub Classroom's `homework-ada`: the name as it is
#[must_use]
pub fn named(stem: &str) -> Named {
    moodle(stem)
        .or_else(|| canvas(stem))
        .or_else(|| ilias(stem))
        .unwrap_or_else(|| Named {
            id: stem.into(),
            name: stem.into(),
            ..Named::default()
        })
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.len() <= 18 && part.bytes().all(|byte| byte.is_ascii_digit())
}

fn moodle(stem: &str) -> Option<Named> {
    let (before, _) = stem.split_once("_assignsubmission_")?;
    let (name, id) = before.rsplit_once('_')?;
    is_number(id).then(|| Named {
        id: id.into(),
        name: name.into(),
        ..Named::default()
    })
}

fn canvas(stem: &str) -> Option<Named> {
    let parts: Vec<&str> = stem.split('_').collect();
    // Behind both numbers there is the file's name, before them the student's, which may have such lines itself.
    let place =
        (1..parts.len().saturating_sub(2)).find(|&place| is_number(parts[place]) && is_number(parts[place + 1]))?;
    let late = parts[place - 1] == "LATE";
    let name = parts[..place - usize::from(late)].join("_");
    (!name.is_empty()).then(|| Named {
        id: parts[place].into(),
        name,
        late,
        attempt: parts[place + 1].parse().unwrap_or(0),
    })
}

fn ilias(stem: &str) -> Option<Named> {
    let parts: Vec<&str> = stem.split('_').collect();
    let [last, first, login, id] = parts[..] else {
        return None;
    };
    (is_number(id) && !login.is_empty() && !is_number(last)).then(|| Named {
        id: id.into(),
        name: format!("{first} {last}"),
        ..Named::default()
    })
}

/// Which upload a file's name speaks of: its leading time (ILIAS: `20260131235959_homework`) or its last number
/// (`homework (2)`, `homework-2`); 0 where there is none.
#[must_use]
pub fn attempt(stem: &str) -> u64 {
    let leading: String = stem.chars().take_while(char::is_ascii_digit).collect();
    if leading.len() >= 8 {
        return leading.parse().unwrap_or(0);
    }
    let stem = stem.trim_end_matches(')');
    let digits = stem.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (before, number) = stem.split_at(stem.len() - digits);
    if before.ends_with(['-', '(']) {
        number.parse().unwrap_or(0)
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_platforms_names_are_understood() {
        let cases = [
            ("Doe Jane_123_assignsubmission_file", "123", "Doe Jane", false),
            ("Müller Özgür_7_assignsubmission_file_", "7", "Müller Özgür", false),
            ("Doe_Jane_123_assignsubmission_file_hw", "123", "Doe_Jane", false),
            ("smithann_LATE_44_55_s", "44", "smithann", true),
            ("smith_ann_LATE_44_55_s", "44", "smith_ann", true),
            ("smithann_44_55_my_homework-1", "44", "smithann", false),
            ("Lovelace_Ada_ada1815_4711", "4711", "Ada Lovelace", false),
            ("homework-ada", "homework-ada", "homework-ada", false),
            ("a_b_c", "a_b_c", "a_b_c", false),
            ("Plain_8_file", "Plain_8_file", "Plain_8_file", false),
        ];
        for (stem, id, name, late) in cases {
            let found = named(stem);
            assert_eq!(
                (found.id.as_str(), found.name.as_str(), found.late),
                (id, name, late),
                "{stem}"
            );
        }
    }

    #[test]
    fn the_last_upload_has_the_highest_number() {
        assert!(attempt("s-2") > attempt("s-1") && attempt("s-1") > attempt("s"));
        assert!(attempt("hw (2)") > attempt("hw"));
        assert!(attempt("20260201000000_hw") > attempt("20260131235959_hw"));
        assert_eq!(attempt("task2"), 0);
    }
}
