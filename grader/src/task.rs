//! The five tasks, by their names.

use serde::{Deserialize, Serialize};

/// A task that is graded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum Task {
    /// Single-step denoising.
    Denoise,
    /// Unconditional generation.
    Generate,
    /// SDEdit.
    Sdedit,
    /// Score-ALD.
    ScoreAld,
    /// Diffusion posterior sampling.
    Dps,
}

impl Task {
    /// All of them, in the lecture's order.
    pub const ALL: [Self; 5] = [Self::Denoise, Self::Generate, Self::Sdedit, Self::ScoreAld, Self::Dps];

    /// The lecture's number, 2 to 6.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8 + 2
    }

    /// The name of its crate and of its folder below `tasks/`.
    #[must_use]
    pub fn crate_name(self) -> &'static str {
        match self {
            Self::Denoise => "task2_denoise",
            Self::Generate => "task3_generate",
            Self::Sdedit => "task4_sdedit",
            Self::ScoreAld => "task5_score_ald",
            Self::Dps => "task6_dps",
        }
    }

    /// What it is called in reports.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Denoise => "Task 2: single-step denoising",
            Self::Generate => "Task 3: unconditional generation",
            Self::Sdedit => "Task 4: SDEdit",
            Self::ScoreAld => "Task 5: Score-ALD",
            Self::Dps => "Task 6: diffusion posterior sampling",
        }
    }

    /// The task of an exercise such as `6.2`.
    #[must_use]
    pub fn of_exercise(exercise: &str) -> Option<Self> {
        let number = exercise.split('.').next()?;
        Self::ALL.into_iter().find(|task| task.number().to_string() == number)
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
        let found = Self::ALL.into_iter().find(|task| task.number() == number);
        found.ok_or_else(|| format!("there is no task {number}, expected 2 to 6"))
    }
}

impl std::str::FromStr for Task {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_it = |task: &Self| text == task.crate_name() || text == task.number().to_string();
        Self::ALL
            .into_iter()
            .find(is_it)
            .ok_or_else(|| format!("`{text}` is no task: expected a number from 2 to 6, or a name such as task6_dps"))
    }
}
