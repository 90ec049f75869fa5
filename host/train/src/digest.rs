//! Digests of rows: whether a run goes on with the data it began with.
//!
//! A digest covers all that training and evaluation read of a row, in order. Equal
//! digests, equal rows. Price: one SHA-256 over the tokens, once a run.

use sha2::{Digest, Sha256};

use retune_roles::{Example, Target};

use crate::frozen::hex;

/// Of the rows of one run.
#[derive(Clone, Debug)]
pub(crate) struct Digests {
    /// Of the training rows.
    pub train: String,
    /// Of the validation rows.
    pub validation: String,
}

impl Digests {
    /// Of these rows.
    pub fn of(train: &[Example], validation: &[Example]) -> Self {
        Self { train: digest(train), validation: digest(validation) }
    }
}

fn digest(examples: &[Example]) -> String {
    let mut fields = Fields { hash: Sha256::new(), buffer: Vec::new() };
    for example in examples {
        fields.add(example.key.as_bytes());
        fields.numbers(example.input_ids.iter().map(|id| id.to_le_bytes()));
        fields.add(&example.token_type_ids);
        match &example.target {
            Target::None => fields.add(&[]),
            Target::Class(class) => fields.add(&class.to_le_bytes()),
            Target::Tokens(labels) => fields.numbers(labels.iter().map(|label| label.to_le_bytes())),
        }
        fields.numbers(example.extra.iter().map(|value| value.to_le_bytes()));
    }
    hex(&fields.hash.finalize())
}

/// Takes in fields one after the other, each with its length, so that none runs into the next.
struct Fields {
    hash: Sha256,
    /// Bytes of numbers on their way; kept from field to field.
    buffer: Vec<u8>,
}

impl Fields {
    fn add(&mut self, bytes: &[u8]) {
        self.hash.update((bytes.len() as u64).to_le_bytes());
        self.hash.update(bytes);
    }

    fn numbers<const N: usize>(&mut self, values: impl Iterator<Item = [u8; N]>) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        values.for_each(|value| buffer.extend_from_slice(&value));
        self.add(&buffer);
        self.buffer = buffer;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &str, ids: &[u32]) -> Example {
        Example {
            key: key.into(),
            input_ids: ids.to_vec(),
            token_type_ids: Vec::new(),
            target: Target::Class(0),
            extra: Vec::new(),
        }
    }

    #[test]
    fn rows_that_run_together_have_another_digest() {
        assert_ne!(digest(&[row("a", &[1, 2]), row("b", &[3])]), digest(&[row("a", &[1]), row("b", &[2, 3])]));
    }

    #[test]
    fn a_digest_is_sha256_of_the_fields_and_their_lengths() {
        // (printf '\1\0\0\0\0\0\0\0a\10\0\0\0\0\0\0\0\1\0\0\0\2\0\0\0'; printf '\0\0\0\0\0\0\0\0';
        //  printf '\4\0\0\0\0\0\0\0\0\0\0\0'; printf '\0\0\0\0\0\0\0\0') | sha256sum
        assert_eq!(digest(&[row("a", &[1, 2])]), "684e6eb1a68353f922796dd1f52cade63513573c8aa1c9c63452488fa94857af");
    }
}
