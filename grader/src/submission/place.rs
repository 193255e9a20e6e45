//! Which file of which task a path names, also where it is named a little otherwise.

use crate::course::task::Task;

/// A source file's place in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The task.
    pub task: Task,
    /// The task's folder in the submission.
    pub folder: String,
    /// The path below the task's `src`.
    pub file: String,
}

/// `a/tasks/task6_dps/src/lib.rs` is `lib.rs` of task 6, in the folder `a/tasks/task6_dps`.
pub fn place(path: &str) -> Option<Place> {
    let of_task = |task: Task| {
        let mark = format!("{}/src/", task.crate_name());
        let is_start = |start: &usize| *start == 0 || path.as_bytes()[start - 1] == b'/';
        let start = path
            .match_indices(&mark)
            .map(|(start, _)| start)
            .find(|start| is_start(start))?;
        let inside = start + mark.len();
        Some(Place {
            task,
            folder: path[..inside - "/src/".len()].to_owned(),
            file: path[inside..].to_owned(),
        })
    };
    let place = Task::all().into_iter().find_map(of_task)?;
    place.file.ends_with(".rs").then_some(place)
}

/// The same for a path with other capitals, with the ` (1)` that a browser adds, or whose task is a folder `task6` or
/// `task 6`.
pub fn loose_place(path: &str) -> Option<Place> {
    let tidy: Vec<String> = path.split('/').map(tidy).collect();
    place(&tidy.join("/"))
}

/// Whether a path is one of a file `lib.rs`, named a little otherwise or not.
pub fn is_lib(path: &str) -> bool {
    tidy(path.rsplit('/').next().unwrap_or_default()) == "lib.rs"
}

fn tidy(part: &str) -> String {
    let part = part.trim().to_lowercase();
    let (stem, end) = match part.strip_suffix(".rs") {
        Some(stem) => (stem, ".rs"),
        None => (part.as_str(), ""),
    };
    let stem = without_number(stem.trim_end());
    let of_task = |task: &Task| {
        let number = task.number();
        [
            format!("task{number}"),
            format!("task {number}"),
            format!("task_{number}"),
            format!("task-{number}"),
        ]
        .contains(&stem.to_owned())
    };
    match Task::all().into_iter().find(of_task) {
        Some(task) if end.is_empty() => task.crate_name().to_owned(),
        _ => format!("{stem}{end}"),
    }
}

/// `lib (1)` is `lib`.
fn without_number(stem: &str) -> &str {
    let inner = stem.strip_suffix(')').and_then(|stem| stem.rsplit_once('('));
    match inner {
        Some((start, number)) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => {
            start.trim_end()
        }
        _ => stem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_a_little_off_are_understood() {
        for path in [
            "tasks/task2_denoise/src/lib (1).rs",
            "tasks/task2_denoise (1)/src/lib.rs",
            "tasks/Task2_denoise/src/lib.rs",
            "task2/src/LIB.RS",
            "x/Task 2/src/lib.rs",
        ] {
            let found = loose_place(path).map(|place| (place.task.number(), place.file));
            assert_eq!(found, Some((2, "lib.rs".into())), "{path}");
            assert_ne!(place(path), loose_place(path), "{path}");
        }
        for path in [
            "lib.rs",
            "src/lib.rs",
            "task2_denoise/lib.rs",
            "mytask2_denoise/src/lib.rs",
            "task2/src/lib.py",
        ] {
            assert_eq!(loose_place(path), None, "{path}");
        }
        assert!(is_lib("a/Lib (2).rs") && !is_lib("a/glib.rs"));
    }
}
