//! The shape of every type that travels, found by letting its own `Deserialize` ask for its parts.
//!
//! serde's derive names a type's fields and variants in the order of the wire, and another test holds that the wire is
//! written in that order: so what is found here is what travels, and nobody has to write it down a second time.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use serde_json::{Value, json};

/// Where a value stands.
pub type Shape = Value;

/// All types by name.
#[derive(Default)]
pub struct Types {
    pub by_name: BTreeMap<&'static str, Type>,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Type {
    /// Another name of one value.
    Alias(Shape),
    /// Fields, in order.
    Struct(Vec<(&'static str, Shape)>),
    /// Variants, in order of their numbers; `None` while not seen.
    Enum(Vec<(&'static str, Option<Variant>)>),
}

#[derive(Clone, PartialEq, Debug)]
pub enum Variant {
    Nothing,
    Value(Shape),
    Fields(Vec<(&'static str, Shape)>),
}

impl Types {
    /// Takes in `T` and all that it is made of. An enum takes one look for each of its variants.
    pub fn add<T: DeserializeOwned>(&mut self) -> Shape {
        loop {
            let mut shape = Value::Null;
            let before = self.seen_variants();
            T::deserialize(Asked { types: self, shape: &mut shape }).unwrap();
            if self.seen_variants() == before {
                return shape;
            }
        }
    }

    fn seen_variants(&self) -> usize {
        let variants = self.by_name.values().map(|kind| match kind {
            Type::Enum(variants) => variants.iter().filter(|(_, variant)| variant.is_some()).count(),
            _ => 0,
        });
        variants.sum()
    }

    /// The first variant that was not seen; the first of all when every one was.
    fn next_variant(&mut self, name: &'static str, variants: &'static [&'static str]) -> usize {
        let empty = || Type::Enum(variants.iter().map(|variant| (*variant, None)).collect());
        let Type::Enum(known) = self.by_name.entry(name).or_insert_with(empty) else {
            panic!("{name} is an enum and something else")
        };
        known.iter().position(|(_, variant)| variant.is_none()).unwrap_or(0)
    }

    fn set(&mut self, name: &'static str, found: &Type) {
        let known = self.by_name.entry(name).or_insert_with(|| found.clone());
        assert_eq!(known, found, "{name} has two shapes");
    }
}

#[derive(Debug)]
pub struct Failed(String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}

impl de::Error for Failed {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// Notes what is asked for, and gives some value of that.
struct Asked<'a> {
    types: &'a mut Types,
    shape: &'a mut Shape,
}

/// The number in "text of at most 31 bytes", which is what the text's visitor says that it expects.
fn text_bytes_max<'de>(visitor: &impl Visitor<'de>) -> u64 {
    struct Expected<'a, V>(&'a V);
    impl<'de, V: Visitor<'de>> fmt::Display for Expected<'_, V> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.expecting(f)
        }
    }
    let words = Expected(visitor).to_string();
    words.split(' ').find_map(|word| word.parse().ok()).unwrap()
}

macro_rules! plain {
    ($($method:ident $visit:ident $value:expr, $shape:expr;)+) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
            *self.shape = json!($shape);
            visitor.$visit($value)
        })+
    };
}

macro_rules! never {
    ($($method:ident)+) => {
        $(fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Failed> {
            Err(Failed(format!("{}: no type on the wire asks for this", stringify!($method))))
        })+
    };
}

impl<'de> de::Deserializer<'de> for Asked<'_> {
    type Error = Failed;

    plain! {
        deserialize_bool visit_bool false, "bool";
        deserialize_u8 visit_u8 0, "u8";
        // The only one: a number that is a code.
        deserialize_u16 visit_u16 100, "Code";
        deserialize_u32 visit_u32 0, "u32";
        deserialize_u64 visit_u64 0, "u64";
        deserialize_u128 visit_u128 0, "u128";
        deserialize_i64 visit_i64 0, "i64";
    }

    never! {
        deserialize_any deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i128 deserialize_f32 deserialize_f64
        deserialize_char deserialize_string deserialize_bytes deserialize_byte_buf deserialize_unit deserialize_seq
        deserialize_map deserialize_identifier deserialize_ignored_any
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        *self.shape = json!({ "text": text_bytes_max(&visitor) });
        visitor.visit_str("")
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        let mut inner = Value::Null;
        let value = visitor.visit_some(Asked { types: self.types, shape: &mut inner });
        *self.shape = json!({ "optional": inner });
        value
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Failed> {
        *self.shape = json!({ "bytes": length });
        let mut shape = Value::Null;
        visitor.visit_seq(Elements { types: self.types, left: length, shape: &mut shape })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failed> {
        let mut inner = Value::Null;
        let value = visitor.visit_newtype_struct(Asked { types: &mut *self.types, shape: &mut inner })?;
        self.types.set(name, &Type::Alias(inner));
        *self.shape = json!(name);
        Ok(value)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failed> {
        let mut found = Vec::new();
        let value =
            visitor.visit_map(Fields { types: &mut *self.types, names: fields, found: &mut found })?;
        self.types.set(name, &Type::Struct(found));
        *self.shape = json!(name);
        Ok(value)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failed> {
        let number = self.types.next_variant(name, variants);
        let mut found = Variant::Nothing;
        let value = visitor.visit_enum(Chosen { types: &mut *self.types, number, found: &mut found })?;
        if let Some(Type::Enum(known)) = self.types.by_name.get_mut(name) {
            let seen = known[number].1.get_or_insert_with(|| found.clone());
            assert_eq!(*seen, found, "{name}::{} has two shapes", variants[number]);
        }
        *self.shape = json!(name);
        Ok(value)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, name: &'static str, _: V) -> Result<V::Value, Failed> {
        Err(Failed(format!("{name}: a struct without fields")))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: usize,
        _: V,
    ) -> Result<V::Value, Failed> {
        Err(Failed(format!("{name}: a struct without names")))
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The bytes of an array.
struct Elements<'a> {
    types: &'a mut Types,
    left: usize,
    shape: &'a mut Shape,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Failed;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Failed> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let value = seed.deserialize(Asked { types: self.types, shape: self.shape })?;
        assert_eq!(*self.shape, "u8", "only bytes stand in arrays");
        Ok(Some(value))
    }
}

/// The fields of a struct, by name: then serde asks for each type in turn.
struct Fields<'a> {
    types: &'a mut Types,
    names: &'static [&'static str],
    found: &'a mut Vec<(&'static str, Shape)>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Failed;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Failed> {
        let Some(name) = self.names.get(self.found.len()) else { return Ok(None) };
        seed.deserialize((*name).into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failed> {
        let mut shape = Value::Null;
        let value = seed.deserialize(Asked { types: self.types, shape: &mut shape })?;
        self.found.push((self.names[self.found.len()], shape));
        Ok(value)
    }
}

/// One variant of an enum.
struct Chosen<'a> {
    types: &'a mut Types,
    number: usize,
    found: &'a mut Variant,
}

impl<'de> EnumAccess<'de> for Chosen<'_> {
    type Error = Failed;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Failed> {
        let number: de::value::U64Deserializer<Failed> = (self.number as u64).into_deserializer();
        Ok((seed.deserialize(number)?, self))
    }
}

impl<'de> VariantAccess<'de> for Chosen<'_> {
    type Error = Failed;

    fn unit_variant(self) -> Result<(), Failed> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Failed> {
        let mut shape = Value::Null;
        let value = seed.deserialize(Asked { types: self.types, shape: &mut shape })?;
        *self.found = Variant::Value(shape);
        Ok(value)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failed> {
        let mut found = Vec::new();
        let value = visitor.visit_map(Fields { types: self.types, names, found: &mut found })?;
        *self.found = Variant::Fields(found);
        Ok(value)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Failed> {
        Err(Failed("a variant of several values without names".to_owned()))
    }
}
