//! Exact decimals as they travel: an integer mantissa and a decimal scale.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::wire_struct;

/// The largest scale a [`Decimal`] may have.
pub const SCALE_MAX: u8 = 18;

/// Powers of ten that fit an `i64`, by exponent.
pub const POWERS_OF_TEN: [i64; 19] = {
    let mut powers = [1; 19];
    let mut exponent = 1;
    while exponent < powers.len() {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
};

/// An exact number: `mantissa × 10^-scale`, scale 0 to [`SCALE_MAX`].
///
/// Equality is of the representation (`1.0` is not `1.00`); use [`Decimal::normalized`] to compare values.
/// A scale above the maximum can be decoded from the wire and is refused where the number is used.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Decimal {
    /// The digits.
    pub mantissa: i64,
    /// How many of the digits stand behind the point.
    pub scale: u8,
}

wire_struct!(Decimal { mantissa, scale });

/// Why a text is not a [`Decimal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not digits with at most one point.
    #[error("not a decimal number such as 1250 or 0.001")]
    NotANumber,
    /// More than [`SCALE_MAX`] digits behind the point.
    #[error("more than 18 digits behind the point")]
    TooPrecise,
    /// The digits do not fit a signed 64-bit integer.
    #[error("too many digits: at most about 9.2e18 without the point")]
    TooLarge,
}

impl Decimal {
    /// Zero, with scale 0.
    pub const ZERO: Self = Self { mantissa: 0, scale: 0 };

    /// `mantissa × 10^-scale`.
    pub const fn new(mantissa: i64, scale: u8) -> Self {
        Self { mantissa, scale }
    }

    /// The same value with the smallest scale that holds it.
    pub fn normalized(mut self) -> Self {
        if self.mantissa == 0 {
            return Self::ZERO;
        }
        while self.scale > 0 && self.mantissa % 10 == 0 {
            self.mantissa /= 10;
            self.scale -= 1;
        }
        self
    }

    /// The value as an integer of `10^-scale` units, if it is one and fits.
    #[inline]
    pub fn rescaled(self, scale: u8) -> Option<i64> {
        if self.scale > SCALE_MAX || scale > SCALE_MAX {
            return None;
        }
        if self.scale <= scale {
            self.mantissa.checked_mul(POWERS_OF_TEN[usize::from(scale - self.scale)])
        } else {
            let divisor = POWERS_OF_TEN[usize::from(self.scale - scale)];
            (self.mantissa % divisor == 0).then(|| self.mantissa / divisor)
        }
    }

    /// As the edges' decimal type. `None` when the scale is above [`SCALE_MAX`].
    pub fn to_rust_decimal(self) -> Option<rust_decimal::Decimal> {
        (self.scale <= SCALE_MAX).then(|| rust_decimal::Decimal::new(self.mantissa, u32::from(self.scale)))
    }

    /// From the edges' decimal type; `None` where the digits do not fit.
    pub fn from_rust_decimal(value: rust_decimal::Decimal) -> Option<Self> {
        let value = value.normalize();
        let scale = u8::try_from(value.scale()).ok().filter(|scale| *scale <= SCALE_MAX)?;
        Some(Self::new(i64::try_from(value.mantissa()).ok()?, scale))
    }

    /// From an integer of `10^-18` units: trailing zeros dropped, and digits behind the point too where the
    /// number would not fit otherwise (rounded toward zero). For figures that are shown, never for orders.
    pub fn from_attos_lossy(attos: i128) -> Self {
        let (mut value, mut scale) = (attos, SCALE_MAX);
        while scale > 0 && (value % 10 == 0 || i64::try_from(value).is_err()) {
            value /= 10;
            scale -= 1;
        }
        let mantissa = i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX });
        Self::new(mantissa, scale)
    }

    /// The value in units of `10^-18`. Exact for every scale up to [`SCALE_MAX`]; `None` above.
    #[inline]
    pub fn to_attos(self) -> Option<i128> {
        let exponent = SCALE_MAX.checked_sub(self.scale)?;
        // |mantissa| < 2^63 and 10^18 < 2^60: the product fits.
        Some(i128::from(self.mantissa) * i128::from(POWERS_OF_TEN[usize::from(exponent)]))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = usize::from(self.scale);
        let digits = self.mantissa.unsigned_abs().to_string();
        let text = if scale == 0 {
            digits
        } else if digits.len() > scale {
            format!("{}.{}", &digits[..digits.len() - scale], &digits[digits.len() - scale..])
        } else {
            format!("0.{digits:0>scale$}")
        };
        f.pad_integral(self.mantissa >= 0, "", &text)
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let (negative, digits) = match text.as_bytes() {
            [b'-', ..] => (true, &text[1..]),
            [b'+', ..] => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.len() + fraction.len() == 0 || (digits.contains('.') && fraction.is_empty()) {
            return Err(DecimalError::NotANumber);
        }
        if !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
            return Err(DecimalError::NotANumber);
        }
        let scale = u8::try_from(fraction.len()).ok().filter(|scale| *scale <= SCALE_MAX);
        let scale = scale.ok_or(DecimalError::TooPrecise)?;
        let mut mantissa: i64 = 0;
        for byte in whole.bytes().chain(fraction.bytes()) {
            let digit = i64::from(byte - b'0');
            let signed = if negative { -digit } else { digit };
            mantissa =
                mantissa.checked_mul(10).and_then(|m| m.checked_add(signed)).ok_or(DecimalError::TooLarge)?;
        }
        Ok(Self::new(mantissa, scale))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_and_writes_text() {
        for text in ["0", "1", "-1", "0.001", "-0.05", "58710.20", "123.000", "9223372036854775807"] {
            assert_eq!(text.parse::<Decimal>().unwrap().to_string(), text);
        }
        assert_eq!(".5".parse::<Decimal>().unwrap(), Decimal::new(5, 1));
        assert_eq!("-9223372036854775808".parse::<Decimal>().unwrap().mantissa, i64::MIN);
    }

    #[test]
    fn refuses_what_is_not_an_exact_number() {
        for text in ["", "-", ".", "1.", "1e5", "0x1", "1,5", " 1", "NaN", "--1"] {
            assert_eq!(text.parse::<Decimal>(), Err(DecimalError::NotANumber), "{text:?}");
        }
        assert_eq!("9223372036854775808".parse::<Decimal>(), Err(DecimalError::TooLarge));
        assert_eq!("0.0000000000000000001".parse::<Decimal>(), Err(DecimalError::TooPrecise));
    }

    #[test]
    fn rescaling_is_exact_or_nothing() {
        assert_eq!(Decimal::new(15, 1).rescaled(3), Some(1500));
        assert_eq!(Decimal::new(1500, 3).rescaled(1), Some(15));
        assert_eq!(Decimal::new(1501, 3).rescaled(1), None);
        assert_eq!(Decimal::new(i64::MAX, 0).rescaled(1), None);
        assert_eq!(Decimal::new(1, 19).rescaled(1), None);
    }

    proptest! {
        #[test]
        fn text_round_trips(mantissa: i64, scale in 0..=SCALE_MAX) {
            let decimal = Decimal::new(mantissa, scale);
            prop_assert_eq!(decimal.to_string().parse::<Decimal>().unwrap(), decimal);
        }

        #[test]
        fn agrees_with_rust_decimal(mantissa: i64, scale in 0..=SCALE_MAX) {
            let decimal = Decimal::new(mantissa, scale);
            let reference = decimal.to_rust_decimal().unwrap();
            prop_assert_eq!(decimal.to_string(), reference.to_string());
            prop_assert_eq!(Decimal::from_rust_decimal(reference).unwrap(), decimal.normalized());
            prop_assert_eq!(Decimal::from_attos_lossy(decimal.to_attos().unwrap()), decimal.normalized());
        }
    }
}
