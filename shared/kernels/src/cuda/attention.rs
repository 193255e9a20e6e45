//! Softmax attention and its gradient.

use crate::attention::AttentionShape;
use crate::cuda::{Buffer, Kernels, Launched, check, index, small};

/// Threads for one query.
const THREADS: usize = 128;

/// Sizes as kernels take them: heads, length of a head, tokens.
fn sizes(shape: &AttentionShape) -> [i32; 3] {
    [shape.heads, shape.head_dim, shape.tokens].map(small)
}

fn queries(shape: &AttentionShape) -> usize {
    shape.batch * shape.heads * shape.tokens
}

fn output_len(shape: &AttentionShape) -> usize {
    queries(shape) * shape.head_dim
}

impl Kernels {
    /// The output, `[batch, heads, head_dim, tokens]`, and the probabilities, `[batch, heads, tokens, tokens]`, for
    /// queries, keys and values `[batch, 3, heads, head_dim, tokens]`.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn attend(&self, shape: &AttentionShape, qkv: &Buffer) -> Launched<(Buffer, Buffer)> {
        check("queries, keys and values", 3 * output_len(shape), qkv);
        let mut probabilities = self.take(queries(shape) * shape.tokens)?;
        let mut out = self.take(output_len(shape))?;
        let [heads, length, tokens] = sizes(shape);
        // SAFETY: attend(qkv, probabilities, out, heads, length, tokens), one block for each query, with buffers of the
        // lengths that it asks for.
        unsafe {
            let parameters = (qkv, &mut probabilities, &mut out, heads, length, tokens);
            self.launch("attend", [queries(shape), 1, 1], THREADS, parameters)?;
        }
        Ok((out, probabilities))
    }

    /// The gradient of queries, keys and values.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn attend_gradient(
        &self,
        shape: &AttentionShape,
        qkv: &Buffer,
        probabilities: &Buffer,
        dout: &Buffer,
    ) -> Launched<Buffer> {
        let len = output_len(shape);
        check("queries, keys and values", 3 * len, qkv);
        check("probabilities", queries(shape) * shape.tokens, probabilities);
        check("the output's gradient", len, dout);
        let mut slopes = self.take(queries(shape) * shape.tokens)?;
        let mut dqkv = self.take(3 * len)?;
        let [heads, length, tokens] = sizes(shape);
        // SAFETY: attend_query_gradient(qkv, probabilities, dout, slopes, dqkv, heads, length, tokens), one block for
        // each query; attend_key_gradient with the same, and the number of values of the output, for each of which
        // there is a thread. Together they write all of `dqkv`.
        unsafe {
            let parameters = (qkv, probabilities, dout, &mut slopes, &mut dqkv, heads, length, tokens);
            self.launch("attend_query_gradient", [queries(shape), 1, 1], THREADS, parameters)?;
            let parameters = (
                qkv,
                probabilities,
                dout,
                &slopes,
                &mut dqkv,
                heads,
                length,
                tokens,
                index(len),
            );
            self.for_each("attend_key_gradient", len, parameters)?;
        }
        Ok(dqkv)
    }
}
