//! The tasks that are graded, by the list `tasks/tasks.toml`.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use check::list::{ListedTask, numbers, parse_list};
use serde::{Deserialize, Serialize};

/// The list, as this program was built with it.
static LIST: LazyLock<Result<Vec<ListedTask>, String>> =
    LazyLock::new(|| parse_list(include_str!("../../../tasks/tasks.toml")).map_err(|error| format!("{error:#}")));

/// A task that is graded: its place in the list.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub struct Task(usize);

/// Whether the list that this program was built with can be read; to be asked before anything else.
///
/// # Errors
///
/// If it is damaged, holds no task, or one twice.
pub fn check_list() -> anyhow::Result<()> {
    LIST.as_ref().map(drop).map_err(|error| anyhow::anyhow!("{error}"))
}

/// An empty list where it is damaged, which [`check_list`] tells.
fn list() -> &'static [ListedTask] {
    LIST.as_deref().unwrap_or_default()
}

impl Task {
    /// All of them, in the lecture's order.
    #[must_use]
    pub fn all() -> Vec<Self> {
        (0..list().len()).map(Self).collect()
    }

    /// The task of that number, if there is one.
    #[must_use]
    pub fn of_number(number: u8) -> Option<Self> {
        list().iter().position(|listed| listed.number == number).map(Self)
    }

    /// What the list says of it.
    #[must_use]
    pub fn listed(self) -> &'static ListedTask {
        &list()[self.0]
    }

    /// The lecture's number, such as 6.
    #[must_use]
    pub fn number(self) -> u8 {
        self.listed().number
    }

    /// The name of its crate and of its folder below `tasks/`.
    #[must_use]
    pub fn crate_name(self) -> &'static str {
        &self.listed().crate_name
    }

    /// What it is called in reports: `Task 6: diffusion posterior sampling`.
    #[must_use]
    pub fn title(self) -> String {
        format!("Task {}: {}", self.number(), self.listed().title)
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Task({})", self.number())
    }
}

impl From<Task> for u8 {
    fn from(task: Task) -> Self {
        task.number()
    }
}

impl TryFrom<u8> for Task {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        Self::of_number(number).ok_or_else(|| format!("there is no task {number}, expected {}", numbers(list())))
    }
}

impl FromStr for Task {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let place = list().iter().position(|listed| listed.is_called(text));
        place.map(Self).ok_or_else(|| {
            format!(
                "`{text}` is no task: expected a number from {}, or a name such as task6_dps",
                numbers(list())
            )
        })
    }
}
