//! A program: bytes that values are read from. Behind its end are zeros, so that every program ends.

use retune_sdk::{Dtype, Error, ErrorKind, Fields, Value};

/// Where a program is read.
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// From its beginning.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Whether nothing is left.
    pub fn is_over(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.bytes.split_first().unwrap_or((&0, &[]));
        self.bytes = rest;
        *first
    }

    /// The next byte, one of `count` values.
    pub fn of(&mut self, count: u8) -> u8 {
        self.byte() % count
    }

    /// One bit, which takes a byte.
    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// Eight bytes.
    pub fn long(&mut self) -> u64 {
        (0..8).fold(0, |value, _| value << 8 | u64::from(self.byte()))
    }

    /// A whole number, small more often than not.
    pub fn whole(&mut self) -> i64 {
        match self.byte() {
            255 => self.long().cast_signed(),
            254 => i64::MIN,
            253 => i64::MAX,
            small => i64::from(small.cast_signed() / 8),
        }
    }

    /// A size of a dimension.
    pub fn size(&mut self) -> u32 {
        match self.byte() {
            255 => u32::MAX,
            254 => 1 << 31,
            253 => 1 << 20,
            252 => 1 << 12,
            small => u32::from(small % 7),
        }
    }

    /// A dimension.
    pub fn dim(&mut self) -> i32 {
        match self.byte() {
            255 => i32::MIN,
            254 => i32::MAX,
            small => i32::from(small % 6) - 2,
        }
    }

    /// Several of what `one` gives.
    pub fn several<T>(&mut self, most: u8, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.of(most + 1);
        (0..count).map(|_| one(self)).collect()
    }

    /// A number, of all kinds.
    pub fn number(&mut self) -> f64 {
        const ODD: [f64; 12] = [
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MAX,
            f64::MIN_POSITIVE,
            5e-324,
            -0.0,
            1e38,
            -1e39,
            9_223_372_036_854_775_807.0,
            1e-300,
            65_520.0,
        ];
        match self.byte() {
            255 => f64::from_bits(self.long()),
            odd @ 128..140 => ODD[usize::from(odd - 128)],
            small => f64::from(small.cast_signed()) / 16.0,
        }
    }

    /// A text: of the program's bytes, of characters that are not shown, or long.
    pub fn text(&mut self) -> String {
        const ODD: [char; 12] = [
            '\u{1b}',
            '\n',
            '\r',
            '\0',
            '\u{202e}',
            '\u{2028}',
            '\u{feff}',
            '\u{e0041}',
            '{',
            '*',
            '\u{301}',
            '\u{10ffff}',
        ];
        match self.of(4) {
            0 => self.several(24, |reader| char::from(reader.byte() % 128)).into_iter().collect(),
            1 => self.several(12, |reader| ODD[usize::from(reader.of(12))]).into_iter().collect(),
            2 => char::from(self.byte() % 128).to_string().repeat(1 << self.of(21)),
            _ => ["text", "logits", "labels", "loss", "*", "layers.{0..3}.**", "a-label", ""][usize::from(self.of(8))]
                .to_owned(),
        }
    }

    /// A type of elements.
    pub fn dtype(&mut self) -> Dtype {
        use Dtype::{Bfloat16, Boolean, Float16, Float32, Float64, Int32, Int64, Uint8};
        [Float32, Int64, Boolean, Float64, Float16, Bfloat16, Int32, Uint8][usize::from(self.of(8))]
    }

    /// A value of a field.
    pub fn value(&mut self) -> Value {
        match self.of(9) {
            0 => Value::Text(self.text()),
            1 => Value::Null,
            2 => Value::Boolean(self.flag()),
            3 => Value::Integer(self.whole()),
            4 => Value::Number(self.number()),
            5 => Value::Bytes(self.several(9, Self::byte)),
            6 => Value::Ids(self.several(9, Self::size)),
            7 => Value::Numbers(self.several(9, |reader| reader.number() as f32)),
            _ => Value::Json(self.text()),
        }
    }

    /// Fields of a row.
    pub fn fields(&mut self) -> Fields {
        self.several(5, |reader| (reader.text(), reader.value()))
    }

    /// An error.
    pub fn error(&mut self) -> Error {
        let kind =
            [ErrorKind::Config, ErrorKind::Input, ErrorKind::Unsupported, ErrorKind::Internal][usize::from(self.of(4))];
        let error = Error::new(kind, self.text());
        self.several(9, Self::text).into_iter().fold(error, Error::context)
    }
}
