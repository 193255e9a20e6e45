//! What comes of a submission: points, texts, figures and times, task by task.

use std::str::FromStr;

use crate::checks::{Figure, Picture};
use crate::course::task::Task;

/// What came of a submission.
#[derive(Clone, Debug, Default)]
pub struct GradeReport {
    /// The submission's name.
    pub submission: String,
    /// One for each task that was graded.
    pub tasks: Vec<TaskReport>,
    /// What was not taken, or is missing, and why; also why nothing was graded.
    pub notes: Vec<String>,
    /// On the clock.
    pub seconds: f64,
    /// The share of the points that is kept, where some are taken off for being late.
    pub kept: Option<f64>,
    /// Who sees what came of the checks on hidden images.
    pub visibility: Visibility,
}

/// Who sees the result of a check on a platform, in Gradescope's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Visibility {
    /// The student, at once.
    #[default]
    Visible,
    /// The student, when the assignment's due date has passed.
    AfterDueDate,
    /// The student, when grades are published.
    AfterPublished,
    /// Only the staff.
    Hidden,
}

impl Visibility {
    /// As platforms and flags call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Visible => "visible",
            Self::AfterDueDate => "after_due_date",
            Self::AfterPublished => "after_published",
            Self::Hidden => "hidden",
        }
    }
}

impl FromStr for Visibility {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Visible, Self::AfterDueDate, Self::AfterPublished, Self::Hidden];
        all.into_iter()
            .find(|visibility| visibility.name() == text)
            .ok_or_else(|| format!("`{text}` is no visibility: expected {}", all.map(Self::name).join(", ")))
    }
}

/// What came of one task.
#[derive(Clone, Debug)]
pub struct TaskReport {
    /// Which.
    pub task: Task,
    /// Why it could not be built: what the compiler says, or that it is missing.
    pub build_error: Option<String>,
    /// One for each check.
    pub checks: Vec<CheckReport>,
    /// On the clock, the compilation included.
    pub seconds: f64,
}

/// What came of one check.
#[derive(Clone, Debug)]
pub struct CheckReport {
    /// `6.2 formula`
    pub key: String,
    /// What it earned.
    pub points: f64,
    /// What it could have earned.
    pub out_of: f64,
    /// What was found, for the student.
    pub text: String,
    /// Results beside what they should look like.
    pub pictures: Vec<Picture>,
    /// What was measured of images.
    pub figures: Vec<Figure>,
    /// On the clock.
    pub seconds: f64,
}

impl GradeReport {
    /// All points earned.
    #[must_use]
    pub fn points(&self) -> f64 {
        sum(self.tasks.iter().map(TaskReport::points))
    }

    /// What counts: the points, less what being late costs.
    #[must_use]
    pub fn score(&self) -> f64 {
        let kept = self.kept.unwrap_or(1.0);
        (self.points() * kept * 100.0).round() / 100.0
    }

    /// All points that could have been earned.
    #[must_use]
    pub fn out_of(&self) -> f64 {
        sum(self.tasks.iter().map(TaskReport::out_of))
    }

    /// The report of a check, by its key.
    #[must_use]
    pub fn check(&self, key: &str) -> Option<&CheckReport> {
        self.tasks
            .iter()
            .flat_map(|task| &task.checks)
            .find(|check| check.key == key)
    }
}

impl TaskReport {
    /// The points earned.
    #[must_use]
    pub fn points(&self) -> f64 {
        sum(self.checks.iter().map(|check| check.points))
    }

    /// The points that could have been earned.
    #[must_use]
    pub fn out_of(&self) -> f64 {
        sum(self.checks.iter().map(|check| check.out_of))
    }
}

/// From 0.0 on: the sum of no numbers is -0.0 otherwise, which a platform shows.
fn sum(points: impl Iterator<Item = f64>) -> f64 {
    points.fold(0.0, |sum, points| sum + points)
}
