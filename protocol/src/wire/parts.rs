//! What every message is made of.

use super::{Malformed, Reader, Wire, Writer};

impl Wire for u8 {
    #[inline(always)]
    fn write(&self, out: &mut Writer<'_>) {
        out.byte(*self);
    }

    #[inline(always)]
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.byte()
    }
}

impl Wire for bool {
    #[inline(always)]
    fn write(&self, out: &mut Writer<'_>) {
        out.byte(u8::from(*self));
    }

    #[inline(always)]
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match from.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }
}

macro_rules! short_numbers {
    ($($kind:ident)*) => {
        $(impl Wire for $kind {
            #[inline(always)]
            fn write(&self, out: &mut Writer<'_>) {
                out.number(u64::from(*self));
            }

            #[inline(always)]
            fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                Ok(from.short_number($kind::BITS)? as $kind)
            }
        })*
    };
}

short_numbers!(u16 u32);

impl Wire for u64 {
    #[inline(always)]
    fn write(&self, out: &mut Writer<'_>) {
        out.number(*self);
    }

    #[inline(always)]
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.number()
    }
}

/// The lowest bit is the sign, so that small numbers below zero are short too.
impl Wire for i64 {
    #[inline(always)]
    fn write(&self, out: &mut Writer<'_>) {
        out.number((self << 1 ^ self >> 63) as u64);
    }

    #[inline(always)]
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let value = from.number()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }
}

impl Wire for u128 {
    #[inline(always)]
    fn write(&self, out: &mut Writer<'_>) {
        out.long_number(*self);
    }

    #[inline(always)]
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.long_number()
    }
}

impl<T: Wire> Wire for Option<T> {
    #[inline(always)]
    fn write(&self, out: &mut Writer<'_>) {
        match self {
            None => out.byte(0),
            Some(value) => {
                out.byte(1);
                value.write(out);
            }
        }
    }

    #[inline(always)]
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match from.byte()? {
            0 => Ok(None),
            1 => T::read(from).map(Some),
            _ => Err(Malformed),
        }
    }
}

/// Bytes of a length that both sides know.
impl<const N: usize> Wire for [u8; N] {
    #[inline(always)]
    fn write(&self, out: &mut Writer<'_>) {
        out.bytes(self);
    }

    #[inline(always)]
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.bytes(N)?.try_into().map_err(|_| Malformed)
    }
}
