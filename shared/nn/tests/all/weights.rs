//! Weights files: what is written is read back, and every broken file is named for what is wrong with it.

use std::collections::BTreeMap;
use std::path::Path;

use nn::{
    Conv2d, Cpu, FloatType, NamedTensor, Parameters, WeightsError, load_weights, read_weights, read_weights_into,
    save_tensors, save_weights,
};

fn layer() -> Conv2d<Cpu> {
    let mut next = 0.0;
    Conv2d::new(&Cpu::default(), 2, 3, 3, 1, &mut |_| {
        next += 0.25;
        next
    })
}

fn tensors(layer: &Conv2d<Cpu>) -> Vec<NamedTensor> {
    let mut tensors = Vec::new();
    layer.visit("", &mut |name, p| {
        tensors.push(NamedTensor {
            name,
            shape: p.shape().to_vec(),
            values: p.to_vec(),
        })
    });
    tensors
}

fn write(path: &Path, tensors: &[NamedTensor]) {
    save_tensors(path, tensors, FloatType::F32, &BTreeMap::new()).expect("a writable folder");
}

#[test]
fn both_float_types_are_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    for float_type in [FloatType::F32, FloatType::F16] {
        // Quarters are exact in both types.
        save_weights(&path, &layer(), float_type).unwrap();
        let mut other = Conv2d::zeros(&Cpu::default(), 2, 3, 3);
        load_weights(&mut other, &read_weights(&path).unwrap()).unwrap();
        assert_eq!(other.weight.to_vec(), layer().weight.to_vec(), "{float_type:?}");
        assert_eq!(other.bias.to_vec(), layer().bias.to_vec(), "{float_type:?}");
        // Straight from the file, the same.
        let mut third = Conv2d::zeros(&Cpu::default(), 2, 3, 3);
        read_weights_into(&path, &mut third).unwrap();
        assert_eq!(tensors(&third), tensors(&other), "{float_type:?}");
    }
}

#[test]
fn a_wrong_shape_is_named_and_nothing_is_changed() {
    let mut network = layer();
    let before = network.weight.to_vec();
    let mut wrong = tensors(&network);
    wrong[0].values.iter_mut().for_each(|v| *v = 7.0);
    wrong[1] = NamedTensor {
        name: "bias".into(),
        shape: vec![4],
        values: vec![0.0; 4],
    };
    let error = load_weights(&mut network, &wrong).unwrap_err();
    assert!(matches!(error, WeightsError::Shape { .. }));
    let text = error.to_string();
    assert!(
        text.contains("`bias`") && text.contains("[4]") && text.contains("[3]"),
        "{text}"
    );
    assert_eq!(network.weight.to_vec(), before, "half of the weights were loaded");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    write(&path, &wrong);
    let straight = read_weights_into(&path, &mut network).unwrap_err();
    assert_eq!(straight.to_string(), text);
    assert_eq!(network.weight.to_vec(), before, "half of the weights were loaded");
}

#[test]
fn missing_and_unknown_tensors_are_named() {
    let mut network = layer();
    let mut some = tensors(&network);
    some.remove(1);
    let text = load_weights(&mut network, &some).unwrap_err().to_string();
    assert!(text.contains("lacks") && text.contains("bias"), "{text}");
    let mut many = tensors(&network);
    many.push(NamedTensor {
        name: "classifier.weight".into(),
        shape: vec![1],
        values: vec![0.0],
    });
    let text = load_weights(&mut network, &many).unwrap_err().to_string();
    assert!(
        text.contains("does not know") && text.contains("classifier.weight"),
        "{text}"
    );
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let mut bad = tensors(&layer());
    bad[0].values[5] = f32::NAN;
    write(&path, &bad);
    let text = read_weights(&path).unwrap_err().to_string();
    assert!(text.contains("`weight`") && text.contains("index 5"), "{text}");
    let straight = read_weights_into(&path, &mut layer()).unwrap_err();
    assert_eq!(straight.to_string(), text);
}

#[test]
fn other_number_types_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let data = [0u8; 8];
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F64, vec![1], &data).unwrap();
    std::fs::write(&path, safetensors::serialize([("weight", view)], None).unwrap()).unwrap();
    let text = read_weights(&path).unwrap_err().to_string();
    assert!(text.contains("F64") && text.contains("expected F16 or F32"), "{text}");
}

#[test]
fn a_damaged_or_missing_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    assert!(read_weights(&path).unwrap_err().to_string().contains("w.safetensors"));
    write(&path, &tensors(&layer()));
    let bytes = std::fs::read(&path).unwrap();
    for cut in [0, 4, 20, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let error = read_weights(&path).unwrap_err();
        assert!(
            matches!(error, WeightsError::Format { .. }),
            "cut to {cut} bytes: {error}"
        );
        let error = read_weights_into(&path, &mut layer()).unwrap_err();
        assert!(
            matches!(error, WeightsError::Format { .. }),
            "cut to {cut} bytes: {error}"
        );
    }
}

#[test]
fn a_failed_write_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no such folder").join("w.safetensors");
    let error = save_weights(&path, &layer(), FloatType::F32).unwrap_err();
    assert!(error.to_string().contains("cannot write"), "{error}");
    // A folder in the place of the file: the rename fails, and no temporary file is left behind.
    let taken = folder.path().join("taken");
    std::fs::create_dir_all(taken.join("inside")).unwrap();
    save_weights(&taken, &layer(), FloatType::F32).unwrap_err();
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left, ["taken"], "temporary files were left: {left:?}");
}
