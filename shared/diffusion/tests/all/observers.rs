//! The observers.

use diffusion::{FiniteCheck, Observer, Schedule, ScoreError, StepView, Trajectory, observe_with};
use ndarray::Array4;

/// Shows an observer a run of `n` steps in which `x_t` holds the index of the step.
fn run(n: usize, observer: &mut dyn Observer) -> Result<(), ScoreError> {
    let steps = Schedule::linear().steps(n).unwrap();
    for (index, step) in steps.iter().enumerate() {
        let x_t = Array4::from_elem((1, 1, 1, 1), index as f32);
        let x0_hat = -&x_t;
        let residual = [index as f32];
        let view = StepView {
            step,
            index,
            num_steps: n,
            x_t: &x_t,
            x0_hat: &x0_hat,
            residual: Some(&residual),
        };
        observer.observe(&view)?;
    }
    Ok(())
}

#[test]
fn trajectories_keep_what_they_should() {
    for n in [1, 2, 3, 7, 10, 50, 999, 1000] {
        for wanted in [0, 2, 3, 5, 8, 49, 2000] {
            let mut trajectory = Trajectory::new(wanted);
            run(n, &mut trajectory).unwrap();
            let frames = trajectory.frames();
            assert_eq!(frames.len(), wanted.max(2).min(n), "{wanted} of {n}");
            assert_eq!(frames[0].index, 0);
            assert_eq!(frames[frames.len() - 1].index, n - 1);
            for frame in frames {
                assert_eq!(frame.x_t[[0, 0, 0, 0]], frame.index as f32);
                assert_eq!(frame.x0_hat[[0, 0, 0, 0]], -(frame.index as f32));
                assert_eq!(frame.residual.as_deref(), Some(&[frame.index as f32][..]));
            }
            let gaps: Vec<usize> = frames.windows(2).map(|w| w[1].index - w[0].index).collect();
            if let (Some(low), Some(high)) = (gaps.iter().min(), gaps.iter().max()) {
                assert!(high - low <= 1, "{wanted} of {n}: {gaps:?}");
            }
        }
    }
}

#[test]
fn a_second_run_starts_afresh() {
    let mut trajectory = Trajectory::new(4);
    run(10, &mut trajectory).unwrap();
    run(20, &mut trajectory).unwrap();
    assert_eq!(trajectory.into_frames().len(), 4);
}

#[test]
fn observers_combine_and_stop() {
    let mut seen = Vec::new();
    let mut trajectory = Trajectory::new(2);
    let stop = observe_with(|view| {
        if view.index == 3 {
            Err(ScoreError::Stopped)
        } else {
            Ok(())
        }
    });
    let note = observe_with(|view| {
        seen.push(view.step.t);
        Ok(())
    });
    let result = run(10, &mut (&mut trajectory, note, Some(stop), ()));
    assert!(matches!(result, Err(ScoreError::Stopped)));
    assert_eq!(seen, [1000, 900, 800, 700]);
    assert_eq!(trajectory.frames().len(), 1);
    let boxed: Box<dyn Observer> = Box::new(Trajectory::new(3));
    run(5, &mut (FiniteCheck, boxed)).unwrap();
}

#[test]
fn finite_check_names_time_and_array() {
    let step = Schedule::linear().step(42, 41);
    let good = Array4::<f32>::zeros((1, 1, 2, 2));
    let mut bad = good.clone();
    bad[[0, 0, 1, 0]] = f32::INFINITY;
    let show = |x_t, x0_hat| {
        let view = StepView {
            step: &step,
            index: 0,
            num_steps: 1,
            x_t,
            x0_hat,
            residual: None,
        };
        FiniteCheck.observe(&view).map_err(|e| e.to_string())
    };
    assert_eq!(show(&good, &good), Ok(()));
    assert_eq!(
        show(&good, &bad).unwrap_err(),
        "x0_hat at t = 42 holds a NaN or an infinity"
    );
    assert_eq!(
        show(&bad, &bad).unwrap_err(),
        "x_t at t = 42 holds a NaN or an infinity"
    );
}

#[test]
fn an_observers_own_error_is_told_as_it_is() {
    let full = || std::io::Error::other("the disk is full");
    let mut log = observe_with(|_| Err(ScoreError::observer(full())));
    let error = run(3, &mut log).unwrap_err();
    assert_eq!(error.to_string(), "the disk is full");
    let ScoreError::Observer(inner) = error else {
        panic!("another error: {error}");
    };
    assert!(inner.downcast_ref::<std::io::Error>().is_some());
}
