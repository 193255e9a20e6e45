//! Panics as one readable line. Without this the kernel prints a page of stack frames.

use std::panic::{self, PanicHookInfo};

/// From now on a panic in a cell is told in one line, and an unwritten exercise is called by its name.
pub(crate) fn tell_briefly() {
    panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        let place = info
            .location()
            .map_or_else(String::new, |place| format!("{}:{}", place.file(), place.line()));
        eprintln!("{}", describe(cli::panic_message(info.payload()), &shorten(&place)));
    }));
}

fn describe(message: &str, place: &str) -> String {
    match cli::unfinished(message) {
        Some(what) => format!(
            "not written yet: {what}\nIt belongs into {place}. Write it, then run this cell again: the kernel compiles \
             the change. The cells below need this one."
        ),
        None => format!("the code panicked at {place}: {message}"),
    }
}

/// A path within the repository, or in the cell.
fn shorten(place: &str) -> String {
    let place = place.replace('\\', "/");
    let tops = ["tasks/", "shared/", "notebooks/"];
    let start = tops.iter().filter_map(|top| place.find(&format!("/{top}"))).min();
    start.map_or(place.clone(), |start| place[start + 1..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unwritten_exercise_is_called_by_its_name() {
        let text = describe(
            "not yet implemented: Task 6.1: Tweedie's formula",
            "tasks/task6_dps/src/lib.rs:40",
        );
        assert!(
            text.starts_with("not written yet: Task 6.1: Tweedie's formula\n"),
            "{text}"
        );
        assert!(text.contains("tasks/task6_dps/src/lib.rs:40"), "{text}");
        assert_eq!(
            describe("index out of bounds", "src/lib.rs:3"),
            "the code panicked at src/lib.rs:3: index out of bounds"
        );
    }

    #[test]
    fn a_place_is_told_from_the_repository_on() {
        assert_eq!(
            shorten("/home/me/course/tasks/task6_dps/src/lib.rs:40"),
            "tasks/task6_dps/src/lib.rs:40"
        );
        assert_eq!(
            shorten("C:\\course\\shared\\imaging\\src\\fft.rs:1"),
            "shared/imaging/src/fft.rs:1"
        );
        assert_eq!(shorten("src/lib.rs:3"), "src/lib.rs:3");
    }
}
