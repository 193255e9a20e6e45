//! The validation images in two halves: what is chosen by looking at images looks better on them than on others.

/// Which images settings and weights are chosen on, and which are kept apart for an honest figure. Whole folders go to
/// one side, since images of one folder are alike: in the order of their names, the first, third, ... to the choice.
#[derive(Clone, Debug, PartialEq)]
pub struct Halves {
    /// The folders whose images decide.
    pub folders: Vec<String>,
    /// Whether each image is among them.
    decides: Vec<bool>,
}

/// The mean of some value over the images of each side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Means {
    /// Over all images.
    pub all: f64,
    /// Over those that settings and weights are chosen on.
    pub chosen_on: f64,
    /// Over the others; none where there is one folder only.
    pub apart: Option<f64>,
}

fn folder(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0, 0.0), |(count, sum), value| (count + 1, sum + value));
    (count > 0).then(|| sum / f64::from(count))
}

impl Halves {
    /// Those of images with these paths.
    #[must_use]
    pub fn of(names: &[String]) -> Self {
        let mut folders: Vec<&str> = names.iter().map(|name| folder(name)).collect();
        folders.sort_unstable();
        folders.dedup();
        let folders: Vec<String> = folders.into_iter().step_by(2).map(str::to_owned).collect();
        let decides = names
            .iter()
            .map(|name| folders.iter().any(|chosen| chosen == folder(name)))
            .collect();
        Self { folders, decides }
    }

    /// The means of one value for each image.
    #[must_use]
    pub fn means(&self, values: &[f64]) -> Means {
        let side = |decides: bool| {
            let of_side = values.iter().zip(&self.decides).filter(move |(_, d)| **d == decides);
            mean(of_side.map(|(value, _)| *value))
        };
        let all = mean(values.iter().copied()).unwrap_or(f64::NAN);
        Means {
            all,
            chosen_on: side(true).unwrap_or(all),
            apart: side(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folders: &[&str]) -> Vec<String> {
        folders.iter().map(|folder| format!("test/{folder}/0.png")).collect()
    }

    #[test]
    fn every_second_folder_decides_wherever_its_images_stand() {
        let halves = Halves::of(&names(&["plum", "fig", "apple", "plum", "fig", "kiwi"]));
        assert_eq!(halves.folders, ["test/apple", "test/kiwi"]);
        let means = halves.means(&[1.0, 2.0, 10.0, 3.0, 4.0, 20.0]);
        assert_eq!((means.chosen_on, means.apart), (15.0, Some(2.5)));
        assert!((means.all - 40.0 / 6.0).abs() < 1e-12);
    }

    #[test]
    fn a_single_folder_decides_alone() {
        let means = Halves::of(&names(&["apple", "apple"])).means(&[1.0, 2.0]);
        assert_eq!((means.all, means.chosen_on, means.apart), (1.5, 1.5, None));
    }
}
