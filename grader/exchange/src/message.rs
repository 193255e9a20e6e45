//! A message, and a list of them as bytes in the safetensors format.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail, ensure};
use ndarray::{Array2, Array4, ArrayD, IxDyn};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

/// The most axes that an array of a message has.
const MOST_AXES: usize = 6;
/// The most messages in one file.
const MOST_MESSAGES: usize = 1000;
/// The most bytes of a file's header, which lists all names, texts and shapes: parsed, it takes many times its size.
const MOST_HEADER: u64 = 4 << 20;

/// A request to a worker, or its answer: named texts and named arrays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    /// Names and texts; a number is a text, too.
    pub texts: BTreeMap<String, String>,
    /// Names and arrays.
    pub arrays: BTreeMap<String, ArrayD<f32>>,
}

impl Message {
    /// A request for the function of one exercise, such as `6.2`.
    #[must_use]
    pub fn request(exercise: &str) -> Self {
        Self::default().with("exercise", exercise)
    }

    /// The message with one more text (a number, say).
    #[must_use]
    pub fn with(mut self, name: &str, text: impl ToString) -> Self {
        self.texts.insert(name.into(), text.to_string());
        self
    }

    /// The message with one more array.
    #[must_use]
    pub fn with_array(mut self, name: &str, array: impl Into<ArrayD<f32>>) -> Self {
        self.arrays.insert(name.into(), array.into());
        self
    }

    /// The message with one more array, taken from an array of four axes.
    #[must_use]
    pub fn with_batch(self, name: &str, batch: &Array4<f32>) -> Self {
        self.with_array(name, batch.clone().into_dyn())
    }

    /// A text by its name.
    ///
    /// # Errors
    ///
    /// If there is none of that name.
    pub fn text(&self, name: &str) -> Result<&str> {
        let text = self.texts.get(name);
        text.map(String::as_str)
            .with_context(|| format!("the message lacks the text `{name}`"))
    }

    /// A number by its name.
    ///
    /// # Errors
    ///
    /// If there is none of that name, or it is no number of that type.
    pub fn number<T: FromStr>(&self, name: &str) -> Result<T> {
        let text = self.text(name)?;
        text.parse()
            .map_err(|_| anyhow!("`{name}` should be a number, got `{text}`"))
    }

    /// An array by its name.
    ///
    /// # Errors
    ///
    /// If there is none of that name.
    pub fn array(&self, name: &str) -> Result<&ArrayD<f32>> {
        let array = self.arrays.get(name);
        array.with_context(|| format!("the message lacks the array `{name}`"))
    }

    /// An array of four axes by its name.
    ///
    /// # Errors
    ///
    /// If there is none of that name, or it has another number of axes.
    pub fn batch(&self, name: &str) -> Result<Array4<f32>> {
        let array = self.array(name)?.clone();
        let shape = array.shape().to_vec();
        array
            .into_dimensionality()
            .map_err(|_| anyhow!("`{name}` should have the axes [B, C, H, W], but its shape is {shape:?}"))
    }

    /// An array of two axes by its name.
    ///
    /// # Errors
    ///
    /// As [`Self::batch`].
    pub fn matrix(&self, name: &str) -> Result<Array2<f32>> {
        let array = self.array(name)?.clone();
        let shape = array.shape().to_vec();
        array
            .into_dimensionality()
            .map_err(|_| anyhow!("`{name}` should have two axes, but its shape is {shape:?}"))
    }
}

/// Messages as bytes: one safetensors file, in which message number 3 calls its array `x_t` by the name `3/x_t`.
///
/// # Errors
///
/// If the arrays cannot be written, which does not happen to arrays of a usual size.
pub fn encode(messages: &[Message]) -> Result<Vec<u8>> {
    let mut texts = HashMap::from([("messages".to_owned(), messages.len().to_string())]);
    let mut arrays: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        for (name, text) in &message.texts {
            texts.insert(format!("{index}/{name}"), text.clone());
        }
        for (name, array) in &message.arrays {
            let bytes = array.iter().flat_map(|value| value.to_le_bytes()).collect();
            arrays.push((format!("{index}/{name}"), array.shape().to_vec(), bytes));
        }
    }
    let views = arrays
        .iter()
        .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>>>()?;
    Ok(safetensors::serialize(views, Some(texts))?)
}

/// Messages from bytes, which may come from anyone.
///
/// # Errors
///
/// If the bytes are no such file; arrays of another type than `f32`; too many messages; a huge header.
pub fn decode(bytes: &[u8]) -> Result<Vec<Message>> {
    let length = bytes.first_chunk().map(|length| u64::from_le_bytes(*length));
    let length = length.context("this is no safetensors file")?;
    ensure!(
        length <= MOST_HEADER,
        "the header has {length} bytes, expected at most {MOST_HEADER}"
    );
    let (_, header) = SafeTensors::read_metadata(bytes).context("this is no safetensors file")?;
    let texts = header.metadata().clone().unwrap_or_default();
    let count: usize = texts
        .get("messages")
        .and_then(|count| count.parse().ok())
        .context("the file does not say how many messages it holds")?;
    ensure!(
        count <= MOST_MESSAGES,
        "{count} messages, expected at most {MOST_MESSAGES}"
    );
    let mut messages = vec![Message::default(); count];
    for (key, text) in texts {
        if let Some((index, name)) = split(&key) {
            let message = messages
                .get_mut(index)
                .with_context(|| format!("no message for `{key}`"))?;
            message.texts.insert(name, text);
        }
    }
    for (key, view) in SafeTensors::deserialize(bytes)
        .context("this is no safetensors file")?
        .iter()
    {
        let Some((index, name)) = split(key) else {
            bail!("an array is called `{key}`, expected NUMBER/NAME")
        };
        let message = messages
            .get_mut(index)
            .with_context(|| format!("no message for `{key}`"))?;
        message.arrays.insert(name, to_array(key, &view)?);
    }
    Ok(messages)
}

fn split(key: &str) -> Option<(usize, String)> {
    let (index, name) = key.split_once('/')?;
    Some((index.parse().ok()?, name.to_owned()))
}

fn to_array(key: &str, view: &TensorView<'_>) -> Result<ArrayD<f32>> {
    ensure!(
        view.dtype() == Dtype::F32,
        "`{key}` is of type {:?}, expected F32",
        view.dtype()
    );
    ensure!(
        view.shape().len() <= MOST_AXES,
        "`{key}` has {} axes, expected at most {MOST_AXES}",
        view.shape().len()
    );
    let number = |four: &[u8]| f32::from_le_bytes([four[0], four[1], four[2], four[3]]);
    let values: Vec<f32> = view.data().chunks_exact(4).map(number).collect();
    ArrayD::from_shape_vec(IxDyn(view.shape()), values).with_context(|| format!("`{key}` is damaged"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages() -> Vec<Message> {
        let x = Array4::from_shape_fn((2, 1, 2, 3), |(b, _, i, j)| (6 * b + 3 * i + j) as f32 - 0.5);
        let nothing = Array4::zeros((2, 1, 1, 0));
        vec![
            Message::request("6.1").with("t", 30).with_batch("x_t", &x),
            Message::default()
                .with("error", "a / b\n\"c\"")
                .with_batch("b", &nothing),
        ]
    }

    #[test]
    fn messages_come_back_as_they_were() -> Result<()> {
        assert_eq!(decode(&encode(&messages())?)?, messages());
        Ok(())
    }

    #[test]
    fn a_huge_header_is_not_read() {
        let mut bytes = (MOST_HEADER + 1).to_le_bytes().to_vec();
        bytes.resize(bytes.len() + MOST_HEADER as usize + 1, b' ');
        let error = decode(&bytes).map_or_else(|error| error.to_string(), |_| String::new());
        assert!(error.contains("expected at most"), "{error}");
    }

    #[test]
    fn damaged_bytes_are_refused() -> Result<()> {
        let bytes = encode(&messages())?;
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "cut at {length}");
        }
        for index in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[index] ^= 0x55;
            // Whatever comes of it, it must come back.
            let _ = decode(&broken);
        }
        Ok(())
    }
}
