//! Variants that a tag tells apart, each described as one object.
//!
//! Their types describe them as their content *and* the tag, which contradicts a content that allows no
//! further fields, and which generators of clients do not understand.

use std::collections::BTreeMap;

use utoipa::openapi::{Ref, RefOr, Schema};

type Schemas = BTreeMap<String, RefOr<Schema>>;

/// Describes every such variant by a schema of its own, named after tag and type.
pub(super) fn merge_tags(schemas: &mut Schemas) {
    let known = schemas.clone();
    let mut made = Vec::new();
    for (name, schema) in schemas.iter_mut() {
        let RefOr::T(Schema::OneOf(any)) = schema else { continue };
        for variant in &mut any.items {
            if let Some((tag, whole)) = with_tag(variant, &known) {
                let own = format!("{}{name}", pascal(&tag));
                *variant = Ref::from_schema_name(&own).into();
                made.push((own, whole));
            }
        }
    }
    schemas.extend(made);
}

/// The tag and the whole of a variant that is written as content and tag.
fn with_tag(variant: &RefOr<Schema>, known: &Schemas) -> Option<(String, RefOr<Schema>)> {
    let RefOr::T(Schema::AllOf(parts)) = variant else { return None };
    let [RefOr::Ref(content), RefOr::T(Schema::Object(tag))] = parts.items.as_slice() else { return None };
    let RefOr::T(Schema::Object(content)) = known.get(content.ref_location.rsplit('/').next()?)? else { return None };
    let RefOr::T(Schema::Object(values)) = tag.properties.values().next()? else { return None };
    let value = values.enum_values.as_ref()?.first()?.as_str()?.to_owned();
    let mut whole = content.clone();
    whole.properties.extend(tag.properties.clone());
    whole.required.extend(tag.required.clone());
    whole.description.clone_from(&parts.description);
    Some((value, Schema::Object(whole).into()))
}

fn pascal(tag: &str) -> String {
    let word = |word: &str| word.chars().take(1).map(|c| c.to_ascii_uppercase()).chain(word.chars().skip(1)).collect();
    tag.split(['-', '_']).map(word).collect::<Vec<String>>().concat()
}
