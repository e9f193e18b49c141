//! How a type states its parts.

/// Gives a struct its bytes: those of its fields, one behind the other, in this order.
#[macro_export]
macro_rules! wire_struct {
    ($kind:ident { $($field:tt),+ $(,)? }) => {
        impl $crate::wire::Wire for $kind {
            #[inline]
            fn write(&self, out: &mut $crate::wire::Writer<'_>) {
                $($crate::wire::Wire::write(&self.$field, out);)+
            }

            #[inline]
            fn read(from: &mut $crate::wire::Reader<'_>) -> Result<Self, $crate::wire::Malformed> {
                Ok(Self { $($field: $crate::wire::Wire::read(from)?,)+ })
            }
        }
    };
}

/// Gives an enum its bytes: the variant's number, and the bytes of its parts behind it.
#[macro_export]
macro_rules! wire_enum {
    ($kind:ident { $($number:literal = $variant:ident $(($part:ident))? $({ $($field:ident),+ })?),+ $(,)? }) => {
        impl $crate::wire::Wire for $kind {
            #[inline]
            fn write(&self, out: &mut $crate::wire::Writer<'_>) {
                match self {
                    $(Self::$variant $(($part))? $({ $($field),+ })? => {
                        out.byte($number);
                        $($crate::wire::Wire::write($part, out);)?
                        $($($crate::wire::Wire::write($field, out);)+)?
                    })+
                }
            }

            #[inline]
            fn read(from: &mut $crate::wire::Reader<'_>) -> Result<Self, $crate::wire::Malformed> {
                Ok(match from.variant()? {
                    $($number => {
                        $(let $part = $crate::wire::Wire::read(from)?;)?
                        $($(let $field = $crate::wire::Wire::read(from)?;)+)?
                        Self::$variant $(($part))? $({ $($field),+ })?
                    })+
                    _ => return Err($crate::wire::Malformed),
                })
            }
        }
    };
}
