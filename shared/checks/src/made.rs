//! What may become of an array before a formula uses it, or before a result comes back.

use ndarray::{Array4, Axis, s};

pub(crate) type Make = fn(&Array4<f32>) -> Array4<f32>;

/// What may become of an argument before it is used.
pub(crate) const OF_A_TERM: [(&str, Make); 23] = [
    ("all images take TERM of the first image of the batch", |a| {
        image_for_all(a, 0)
    }),
    ("all images take TERM of the last image of the batch", |a| {
        image_for_all(a, a.dim().0 - 1)
    }),
    ("TERM is the mean over the images of the batch", |a| {
        let mean = a.mean_axis(Axis(0)).unwrap_or_default();
        broadcast(&mean.insert_axis(Axis(0)), a)
    }),
    ("the images of TERM are taken in the reverse order", |a| {
        a.slice(s![..;-1, .., .., ..]).to_owned()
    }),
    ("each image takes TERM of the next one", |a| {
        Array4::from_shape_fn(a.dim(), |(b, c, h, w)| a[[(b + 1) % a.dim().0, c, h, w]])
    }),
    ("all channels take TERM of the first channel", |a| {
        broadcast(&a.slice(s![.., ..1, .., ..]).to_owned(), a)
    }),
    ("TERM is the mean over the channels", |a| {
        broadcast(&a.mean_axis(Axis(1)).unwrap_or_default().insert_axis(Axis(1)), a)
    }),
    ("TERM is clamped to [-1, 1]", |a| a.mapv(|v| v.clamp(-1.0, 1.0))),
    ("TERM is clamped to [0, 1]", |a| a.mapv(|v| v.clamp(0.0, 1.0))),
    ("the absolute value of TERM is taken", |a| a.mapv(f32::abs)),
    ("TERM is squared", |a| a.mapv(|v| v * v)),
    ("TERM is divided by its norm, image by image", |a| {
        let mut a = a.clone();
        for mut image in a.outer_iter_mut() {
            let norm = image.iter().map(|v| v * v).sum::<f32>().sqrt();
            image.mapv_inplace(|v| v / norm);
        }
        a
    }),
    ("the rows and columns of TERM are exchanged", |a| {
        turned(a, [0, 1, 3, 2])
    }),
    ("TERM is flipped left to right", |a| {
        a.slice(s![.., .., .., ..;-1]).to_owned()
    }),
    ("TERM is stretched to fill [-1, 1], image by image", |a| {
        each_image(a, stretched)
    }),
    ("TERM is divided by its largest absolute value, image by image", |a| {
        each_image(a, by_largest)
    }),
    ("TERM is stretched to fill [-1, 1], over the whole batch", stretched),
    (
        "TERM is divided by its largest absolute value, over the whole batch",
        by_largest,
    ),
    ("the mean of each image of TERM is taken off it", |a| {
        each_image(a, without_mean)
    }),
    ("each image of TERM is given mean 0 and variance 1", |a| {
        each_image(a, standard)
    }),
    ("each image of TERM is given mean 0 and variance 1", |a| {
        each_image(a, standard_of_sample)
    }),
    ("TERM is given mean 0 and variance 1, over the whole batch", standard),
    (
        "TERM is given mean 0 and variance 1, over the whole batch",
        standard_of_sample,
    ),
];

/// Another order in which a result may come back.
pub(crate) const ORDERS: [(&str, Make); 7] = [
    ("the images of the batch come back in the reverse order", |a| {
        a.slice(s![..;-1, .., .., ..]).to_owned()
    }),
    ("height and width are exchanged", |a| {
        a.clone().permuted_axes([0, 1, 3, 2])
    }),
    ("the images come back flipped left to right", |a| {
        a.slice(s![.., .., .., ..;-1]).to_owned()
    }),
    ("the images come back upside down", |a| {
        a.slice(s![.., .., ..;-1, ..]).to_owned()
    }),
    ("the channels come back in the reverse order", |a| {
        a.slice(s![.., ..;-1, .., ..]).to_owned()
    }),
    ("all images of the batch are the result of the first one", |a| {
        image_for_all(a, 0)
    }),
    ("all images of the batch are the mean of their results", |a| {
        broadcast(&a.mean_axis(Axis(0)).unwrap_or_default().insert_axis(Axis(0)), a)
    }),
];

/// Another scale on which a result may come back.
pub(crate) const SCALES: [(&str, Make); 7] = [
    ("each image is stretched to fill [-1, 1]", |a| each_image(a, stretched)),
    ("each image is divided by its largest absolute value", |a| {
        each_image(a, by_largest)
    }),
    ("the mean of each image is taken off it", |a| {
        each_image(a, without_mean)
    }),
    ("each image is given mean 0 and variance 1", |a| each_image(a, standard)),
    ("each image is given mean 0 and variance 1", |a| {
        each_image(a, standard_of_sample)
    }),
    ("the whole batch is given mean 0 and variance 1", standard),
    ("the whole batch is given mean 0 and variance 1", standard_of_sample),
];

fn each_image(a: &Array4<f32>, make: Make) -> Array4<f32> {
    let mut made = a.clone();
    for (index, mut image) in made.outer_iter_mut().enumerate() {
        image.assign(&make(&a.slice(s![index..=index, .., .., ..]).to_owned()).index_axis(Axis(0), 0));
    }
    made
}

fn extent(a: &Array4<f32>) -> (f32, f32) {
    let ends = (f32::INFINITY, f32::NEG_INFINITY);
    a.iter().fold(ends, |(low, high), v| (low.min(*v), high.max(*v)))
}

fn stretched(a: &Array4<f32>) -> Array4<f32> {
    let (low, high) = extent(a);
    (a - low) / (high - low) * 2.0 - 1.0
}

fn by_largest(a: &Array4<f32>) -> Array4<f32> {
    let (low, high) = extent(a);
    a / high.max(-low)
}

fn without_mean(a: &Array4<f32>) -> Array4<f32> {
    a - a.mean().unwrap_or(0.0)
}

fn standard(a: &Array4<f32>) -> Array4<f32> {
    without_mean(a) / a.std(0.0)
}

fn standard_of_sample(a: &Array4<f32>) -> Array4<f32> {
    // Of one number there is none.
    if a.len() > 1 {
        without_mean(a) / a.std(1.0)
    } else {
        a.clone()
    }
}

fn image_for_all(a: &Array4<f32>, image: usize) -> Array4<f32> {
    broadcast(&a.slice(s![image..=image, .., .., ..]).to_owned(), a)
}

fn broadcast(small: &Array4<f32>, like: &Array4<f32>) -> Array4<f32> {
    small
        .broadcast(like.raw_dim())
        .map_or_else(|| like.clone(), |view| view.to_owned())
}

/// Only where the image is a square.
fn turned(a: &Array4<f32>, order: [usize; 4]) -> Array4<f32> {
    let turned = a.clone().permuted_axes(order);
    if turned.dim() == a.dim() { turned } else { a.clone() }
}
