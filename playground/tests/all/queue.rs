//! One run at a time, in order; what goes wrong in one is said and ends that one only.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use diffusion::ScoreModel;
use playground::log::Log;
use playground::plan::Plan;
use playground::queue::{LONGEST, Queue};
use playground::wish::Task;

use crate::common::{Does, LONG, Naughty, events, last_event, prior, some_event, wish};

fn plan(steps: usize) -> Result<Plan> {
    let mut wish = wish(Task::Generate);
    wish.steps = steps.to_string();
    Plan::of(&wish, &prior()?, "fruits64")
}

fn queue(does: Does, patience: Duration) -> Result<Arc<Queue>> {
    Queue::start(Naughty::new(does)?, patience)
}

#[test]
fn they_are_done_in_order() -> Result<()> {
    let queue = queue(Does::Sleep(Duration::from_millis(1)), LONG)?;
    let logs = (0..4).map(|_| queue.add(plan(20)?)).collect::<Result<Vec<_>>>()?;
    assert_eq!(last_event(&logs[3])?.0, "done");
    assert!(logs.iter().all(|log| log.is_over()));
    let first = events(&logs[3])?.into_iter().next();
    assert!(first.is_some_and(|(kind, news)| kind == "queued" && news["ahead"].as_u64() >= Some(1)));
    Ok(())
}

#[test]
fn an_error_ends_its_own_run_only() -> Result<()> {
    cli::catch_panics();
    for (does, sentence) in [
        (
            Does::Todo,
            "not implemented yet: Task 9.9: the score in playground/tests/all/common.rs:",
        ),
        (Does::Panic, "index 7 is out of bounds"),
        (Does::Nan, "numbers are no longer finite after the step at t = 500"),
    ] {
        let queue = queue(does, LONG)?;
        let failed = queue.add(plan(1000)?)?;
        let (kind, news) = last_event(&failed)?;
        let said = news["sentence"].as_str().unwrap_or_default();
        assert!(kind == "failed" && said.contains(sentence), "{kind}: {said}");
        // What was there by then is kept, and one step, at t = 1000, is none too many for this prior.
        assert!(events(&failed)?.iter().any(|(kind, _)| *kind == "step"));
        let next = queue.add(plan(1)?)?;
        assert_eq!(last_event(&next)?.0, "done");
    }
    Ok(())
}

#[test]
fn it_stops_when_it_is_asked_to() -> Result<()> {
    let queue = queue(Does::Sleep(Duration::from_millis(20)), LONG)?;
    let (running, waiting) = (queue.add(plan(1000)?)?, queue.add(plan(1000)?)?);
    queue.cancel(&waiting);
    assert_eq!(last_event(&waiting)?.0, "stopped");
    let start = Instant::now();
    queue.cancel(&running);
    assert_eq!(last_event(&running)?.0, "stopped");
    // All of it would take 20 s.
    assert!(start.elapsed() < Duration::from_secs(10));
    Ok(())
}

#[test]
fn it_stops_when_nobody_looks() -> Result<()> {
    let queue = queue(Does::Sleep(Duration::from_millis(5)), Duration::from_millis(300))?;
    let (seen, unseen) = (queue.add(plan(300)?)?, queue.add(plan(300)?)?);
    let viewer = seen.viewer();
    assert_eq!(last_event(&seen)?.0, "done");
    // It was abandoned while it waited.
    assert_eq!(last_event(&unseen)?.0, "stopped");
    drop(viewer);
    let left = queue.add(plan(1000)?)?;
    drop(left.viewer());
    assert_eq!(last_event(&left)?.0, "stopped");
    Ok(())
}

#[test]
fn the_queue_is_not_endless_and_forgets() -> Result<()> {
    let queue = queue(Does::Sleep(Duration::from_millis(20)), LONG)?;
    let running = queue.add(plan(1000)?)?;
    while !events(&running)?.iter().any(|(kind, _)| *kind == "started") {
        std::thread::sleep(Duration::from_millis(5));
    }
    let waiting = (0..LONGEST).map(|_| queue.add(plan(1)?)).collect::<Result<Vec<_>>>()?;
    let refused = queue.add(plan(1)?);
    assert!(refused.is_err_and(|error| error.to_string().contains("8 runs are waiting already")));
    queue.cancel(&running);
    for log in &waiting {
        assert_eq!(last_event(log)?.0, "done");
    }
    for _ in 0..20 {
        let log = queue.add(plan(1)?)?;
        last_event(&log)?;
    }
    assert!(queue.find(running.id()).is_none() && queue.find(waiting[0].id()).is_none());
    Ok(())
}

/// How many events somebody saw who waited for one after the other; an error where the end was never told.
fn read_to_the_end(log: Arc<Log>) -> std::sync::mpsc::Receiver<usize> {
    let (tell, seen) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let mut read = 0;
        while runtime.block_on(log.wait_for(read)) {
            read += 1;
        }
        tell.send(read).ok();
        Ok::<_, std::io::Error>(())
    });
    seen
}

/// A page that comes late sees all, and one that waits is woken, to the end: at whatever moment it asks, so
/// that it takes many tries.
#[test]
fn a_log_can_be_read_from_anywhere() -> Result<()> {
    for _ in 0..20000 {
        let log = Arc::new(Log::new(1, LONG));
        let reading = read_to_the_end(log.clone());
        for ahead in 0..5 {
            log.tell(&some_event(ahead));
        }
        log.tell(&playground::event::Event::Failed {
            sentence: "the end".to_owned(),
        });
        log.tell(&some_event(0));
        assert_eq!(reading.recv_timeout(Duration::from_secs(20))?, 6);
        assert_eq!(log.events().len(), 6);
    }
    Ok(())
}

#[test]
fn the_naughty_prior_is_a_prior() -> Result<()> {
    let model = Naughty::new(Does::Sleep(Duration::ZERO))?;
    let x = ndarray::Array4::ones((1, 3, 16, 16));
    assert_eq!(model.score(&x, 300)?, prior()?.score(&x, 300)?);
    Ok(())
}
