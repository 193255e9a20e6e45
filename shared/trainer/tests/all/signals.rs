//! A training that is asked to stop.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use crate::train_command::{Place, text};

/// A training that would go on for long, run by a shell that first does what `before` says.
struct Running {
    place: Place,
    child: Child,
}

impl Running {
    fn start(before: &str) -> Self {
        let place = Place::new();
        let train = place.command(&place.data(), &["--minutes", "5"]);
        let log = std::fs::File::create(place.folder.path().join("log.txt")).unwrap();
        let child = Command::new("sh")
            .args(["-c", &format!("{before}exec \"$0\" \"$@\"")])
            .arg(train.get_program())
            .args(train.get_args())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            // A group of its own: no signal of these tests reaches anyone else.
            .process_group(0)
            .spawn()
            .unwrap();
        let running = Self { place, child };
        // What it prints first, it prints when it is ready for signals.
        running.wait_for("parameters");
        std::thread::sleep(Duration::from_millis(300));
        running
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.place.folder.path().join("log.txt")).unwrap()
    }

    fn wait_for(&self, words: &str) {
        let start = Instant::now();
        while !self.log().contains(words) {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "no `{words}`: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn send(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    fn end(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

#[test]
fn a_training_that_is_stopped_can_go_on_and_does_not_claim_success() {
    for (signal, status) in [("-INT", 130), ("-TERM", 143), ("-HUP", 129)] {
        let mut training = Running::start("");
        training.send(signal);
        assert_eq!(training.end().code(), Some(status), "{}", training.log());
        let log = training.log();
        assert!(log.contains("stopped at step") && log.contains("--resume"), "{log}");
        let step = log
            .split("stopped at step ")
            .nth(1)
            .and_then(|rest| rest.split(';').next())
            .unwrap();
        let more = (step.parse::<u64>().unwrap() + 2).to_string();
        let output = training.place.run(&["--resume", "--steps", &more]);
        assert!(
            output.status.success() && text(&output).contains(&format!("step {more}:")),
            "{}",
            text(&output)
        );
    }
}

/// `nohup` ignores HUP, and a shell the INT of what it runs in the background.
#[test]
fn a_signal_that_was_ignored_at_the_start_is_left_alone() {
    let mut training = Running::start("trap '' HUP INT; ");
    training.send("-HUP");
    training.send("-INT");
    std::thread::sleep(Duration::from_millis(500));
    assert!(training.child.try_wait().unwrap().is_none(), "{}", training.log());
    assert!(!training.log().contains("stopping"), "{}", training.log());
    training.send("-TERM");
    assert_eq!(training.end().code(), Some(143), "{}", training.log());
}
