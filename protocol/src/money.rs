//! Amounts of money, exact.

use crate::decimal::Decimal;

/// An amount of an account's currency in units of `10^-18`, so that a tick times a step is always whole.
/// Range about ± 1.7 × 10^20 units of the currency; every operation that could leave it is checked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Money(pub i128);

/// The product of two numbers of 64 bits, which nearly all are: one multiplication, and no overflow to look for.
#[inline]
fn short_product(first: i128, second: i128) -> Option<i128> {
    let (first, second) = (i64::try_from(first).ok()?, i64::try_from(second).ok()?);
    Some(i128::from(first) * i128::from(second))
}

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// More than any amount: the limit of who has none.
    pub const MAX: Self = Self(i128::MAX);

    /// `self + other`, or `None` past the range.
    #[inline]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// `self − other`, or `None` past the range.
    #[inline]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// `self × factor`, or `None` past the range.
    #[inline]
    pub fn checked_mul(self, factor: i128) -> Option<Self> {
        short_product(self.0, factor).or_else(|| self.0.checked_mul(factor)).map(Self)
    }

    /// `self × factor`, held at the end of the range.
    #[inline]
    pub fn saturating_mul(self, factor: i128) -> Self {
        Self(short_product(self.0, factor).unwrap_or_else(|| self.0.saturating_mul(factor)))
    }

    /// The sum, held at the end of the range: for running figures that must not stop an order's report.
    #[inline]
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, held at the end of the range.
    #[inline]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The amount without its sign.
    #[inline]
    pub fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }

    /// For showing: exact where it fits, else with fewer digits behind the point.
    pub fn to_decimal(self) -> Decimal {
        Decimal::from_attos_lossy(self.0)
    }

    /// From a decimal; `None` when its scale is above 18.
    pub fn from_decimal(value: Decimal) -> Option<Self> {
        value.to_attos().map(Self)
    }
}
