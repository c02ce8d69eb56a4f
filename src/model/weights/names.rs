//! Names of tensors as programs write them, to the names of the networks here, which are timm's (torchvision's for ResNets).

/// Put in front of every name by DistributedDataParallel and by torch.compile.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

/// The names here of the names in a file, in the same order, and what was done to them.
pub fn ours(names: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut ours, mut notes) = (names.to_vec(), Vec::new());
    while let Some(wrapper) =
        WRAPPERS.iter().find(|wrapper| !ours.is_empty() && ours.iter().all(|name| name.starts_with(**wrapper)))
    {
        ours.iter_mut().for_each(|name| drop(name.drain(..wrapper.len())));
        notes.push(format!("'{wrapper}' is left out in front of every name"));
    }
    let has = |end: &str| ours.iter().any(|name| name.ends_with(end));
    let translate = match () {
        () if has("encoder.pos_embedding") && has("conv_proj.weight") => {
            Some(("ViT", vit as fn(&str) -> Option<String>))
        }
        () if has(".layer_scale") && has("features.0.0.weight") => {
            Some(("ConvNeXt", convnext as fn(&str) -> Option<String>))
        }
        () => None,
    };
    if let Some((model, translate)) = translate {
        ours.iter_mut().for_each(|name| *name = translate(name).unwrap_or_else(|| name.clone()));
        notes.push(format!("the names are those of torchvision's {model}"));
    }
    (ours, notes)
}

/// torchvision.models.VisionTransformer: `encoder.layers.encoder_layer_3.mlp.0.weight` is `blocks.3.mlp.fc1.weight`.
fn vit(name: &str) -> Option<String> {
    let whole = [
        ("class_token", "cls_token"),
        ("encoder.pos_embedding", "pos_embed"),
        ("conv_proj.", "patch_embed.proj."),
        ("encoder.ln.", "norm."),
        ("heads.head.", "head."),
    ];
    let inner = [
        ("ln_1.", "norm1."),
        ("ln_2.", "norm2."),
        ("self_attention.in_proj_", "attn.qkv."),
        ("self_attention.out_proj.", "attn.proj."),
        ("mlp.0.", "mlp.fc1."),
        ("mlp.3.", "mlp.fc2."),
        // Before torchvision 0.14.
        ("mlp.linear_1.", "mlp.fc1."),
        ("mlp.linear_2.", "mlp.fc2."),
    ];
    match name.strip_prefix("encoder.layers.encoder_layer_") {
        None => replaced(name, &whole),
        Some(rest) => {
            let (block, rest) = rest.split_once('.')?;
            Some(format!("blocks.{block}.{}", replaced(rest, &inner)?))
        }
    }
}

/// torchvision.models.ConvNeXt: stages are the odd ones of `features`, what halves between them the even ones.
fn convnext(name: &str) -> Option<String> {
    let whole = [
        ("features.0.0.", "stem.0."),
        ("features.0.1.", "stem.1."),
        ("classifier.0.", "head.norm."),
        ("classifier.2.", "head.fc."),
    ];
    let inner = [
        ("block.0.", "conv_dw."),
        ("block.2.", "norm."),
        ("block.3.", "mlp.fc1."),
        ("block.5.", "mlp.fc2."),
        ("layer_scale", "gamma"),
    ];
    if let Some(name) = replaced(name, &whole) {
        return Some(name);
    }
    let (feature, rest) = name.strip_prefix("features.")?.split_once('.')?;
    let feature: usize = feature.parse().ok()?;
    if feature.is_multiple_of(2) {
        return Some(format!("stages.{}.downsample.{rest}", feature / 2));
    }
    let (block, rest) = rest.split_once('.')?;
    Some(format!("stages.{}.blocks.{block}.{}", feature / 2, replaced(rest, &inner)?))
}

fn replaced(name: &str, table: &[(&str, &str)]) -> Option<String> {
    table.iter().find_map(|(theirs, ours)| Some(format!("{ours}{}", name.strip_prefix(theirs)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> (Vec<String>, Vec<String>) {
        ours(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn wrappers_are_left_out_where_every_name_has_them() {
        let (names, notes) = named(&["module._orig_mod.fc.weight", "module._orig_mod.fc.bias"]);
        assert_eq!(names, ["fc.weight", "fc.bias"]);
        assert_eq!(notes.len(), 2);
        assert_eq!(named(&["module.a", "b"]), (vec!["module.a".into(), "b".into()], vec![]));
        assert_eq!(named(&[]), (vec![], vec![]));
    }

    /// list(torchvision.models.vit_b_16().state_dict()), list(torchvision.models.convnext_tiny().state_dict())
    #[test]
    fn torchvisions_names_are_known() {
        let (names, notes) = named(&[
            "module.class_token",
            "module.conv_proj.weight",
            "module.encoder.pos_embedding",
            "module.encoder.layers.encoder_layer_11.self_attention.in_proj_weight",
            "module.encoder.layers.encoder_layer_11.mlp.3.bias",
            "module.heads.head.weight",
        ]);
        let ours = [
            "cls_token",
            "patch_embed.proj.weight",
            "pos_embed",
            "blocks.11.attn.qkv.weight",
            "blocks.11.mlp.fc2.bias",
        ];
        assert_eq!(names[..5], ours);
        assert_eq!((names[5].as_str(), notes[1].as_str()), ("head.weight", "the names are those of torchvision's ViT"));
        let (names, _) = named(&[
            "features.0.0.weight",
            "features.4.1.bias",
            "features.7.2.block.5.weight",
            "features.1.0.layer_scale",
            "classifier.2.bias",
        ]);
        let ours = [
            "stem.0.weight",
            "stages.2.downsample.1.bias",
            "stages.3.blocks.2.mlp.fc2.weight",
            "stages.0.blocks.0.gamma",
            "head.fc.bias",
        ];
        assert_eq!(names, ours);
    }
}
