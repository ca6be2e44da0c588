//! One test per validation rule: the diagnostic code for a blueprint that violates it.
//!
//! A number at the end of a test name is the error code of Cloudify's own parser.

use dockctl::{
    catalog,
    diagnostic::{Diagnostic, Diagnostics, Sources},
    model::{
        self,
        inputs::{GivenInput, MissingInputs, input_values},
    },
    plugins::Plugins,
    syntax::Value,
};
use serde_json::Value as Json;
use std::fs;

/// Plugin and types that most of these blueprints use.
const BASE: &str = "
plugins: {p: {executor: central_deployment_agent, install: false}}
relationships:
  cloudify.relationships.depends_on: {properties: {connection_type: {default: all_to_all}}}
  cloudify.relationships.connected_to: {derived_from: cloudify.relationships.depends_on}
  cloudify.relationships.contained_in: {derived_from: cloudify.relationships.depends_on}
node_types: {t: {properties: {x: {default: 1}}}, cloudify.nodes.Compute: {}}
";

/// Returns the error codes of a blueprint with `files` in its directory. With `inputs`, it is also
/// evaluated and expanded, as for a deployment.
fn error_codes(text: &str, files: &[(&str, &str)], inputs: Option<&str>) -> Vec<&'static str> {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    let path = directory.path().join("blueprint.yaml");
    fs::write(&path, text).unwrap();
    let (mut sources, mut faults) = (Sources::default(), Diagnostics::default());
    let network = catalog::Network {
        offline: true,
        cache: None,
    };
    let ast = catalog::load(
        &path,
        &catalog::Options {
            network,
            ..catalog::Options::default()
        },
        &mut sources,
        &mut faults,
    )
    .unwrap();
    let blueprint = model::resolve(
        ast,
        &sources,
        |plugin| Plugins::default().provides(plugin),
        &mut faults,
    );
    if let Some(inputs) = inputs.filter(|_| !faults.iter().any(Diagnostic::is_error)) {
        let file = sources.add_text("<inputs>", "");
        let given: Json = serde_json::from_str(inputs).unwrap();
        let given = given.as_object().unwrap().iter().map(|(name, value)| {
            (
                name.clone(),
                GivenInput {
                    value: Value::from_json(value, sources.start(file)),
                    bare: false,
                },
            )
        });
        let mut values = input_values(
            &blueprint,
            &given.collect(),
            MissingInputs::Reject,
            &mut faults,
        );
        let blueprint = model::evaluate(blueprint, &mut values, &mut faults);
        let _ = model::expand(
            &blueprint,
            &[],
            &mut fastrand::Rng::with_seed(1),
            &mut faults,
        );
    }
    let mut codes: Vec<_> = faults
        .iter()
        .filter(|fault| fault.is_error())
        .map(|fault| fault.code.as_str())
        .collect();
    codes.dedup();
    codes
}

/// Declares a test per rule: name, code, DSL version, text after the version, and optionally files
/// in the same directory and inputs.
macro_rules! rules {
    ($($name:ident: $code:literal $version:literal $text:literal $([$($file:literal: $content:literal),+])? $(with $inputs:literal)?;)+) => { $(
        #[test]
        fn $name() {
            let files: &[(&str, &str)] = &[$($(($file, $content)),+)?];
            let inputs: Option<&str> = [$($inputs)?].first().copied();
            let text = format!("tosca_definitions_version: cloudify_dsl_{}\n{}", $version, $text.replace("BASE", BASE).replace("DEEP", &format!("{}x{}", "[".repeat(50), "]".repeat(50))));
            assert_eq!(error_codes(&text, files, inputs), [$code], "{text}");
        }
    )+ };
}

#[test]
fn relationships_are_added_to_templates_that_have_some() {
    let of = |first: &str, second: &str| {
        let main = format!(
            "tosca_definitions_version: cloudify_dsl_1_5\n{BASE}\nimports: [a.yaml]\nnode_templates: {{a: {first}, b: {{type: t}}}}"
        );
        let imported = format!("node_templates: {{a: {second}}}");
        error_codes(&main, &[("a.yaml", &imported)], Some("{}"))
    };
    let more = "{relationships: [{type: cloudify.relationships.depends_on, target: b}]}";
    let whole = "{type: t, properties: {x: 2}}";
    let none: [&str; 0] = [];
    assert_eq!(of("{type: t, relationships: []}", more), none);
    assert_eq!(of(more, whole), none);
    assert_eq!(of(more, more), ["D0010"]); // It still lacks a type.
    assert_eq!(of(more, "{properties: {x: 2}}")[0], "D0013");
    assert_eq!(of(whole, more), ["D0013"]);
}

#[test]
fn import_property_is_checked_before_the_file_is_found() {
    let text =
        "tosca_definitions_version: cloudify_dsl_1_5\nimports: [{'plugin:nowhere': {x: {y: 1}}}]";
    assert_eq!(error_codes(text, &[], None), ["D0019", "D0014"]);
    let loaded_before = "tosca_definitions_version: cloudify_dsl_1_5\nimports: [a.yaml, b.yaml]";
    let files = [
        ("a.yaml", "{}"),
        ("b.yaml", "imports: [{a.yaml: {x: {y: 1}}}]"),
    ];
    assert_eq!(error_codes(loaded_before, &files, None), ["D0019"]);
}

#[test]
fn version_missing_27() {
    assert_eq!(error_codes("inputs: {}\n", &[], None), ["D0020"]);
}

#[test]
fn version_unknown_29() {
    assert_eq!(
        error_codes(
            "tosca_definitions_version: tosca_simple_yaml_1_0\n",
            &[],
            None
        ),
        ["D0021"]
    );
}

#[test]
fn root_is_not_a_mapping_1() {
    assert_eq!(error_codes("- a\n", &[], None), ["D0010"]);
}

rules! {
    malformed_text_minus_1: "D0002" "1_5" "inputs: {a: [1\n";
    malformed_token: "D0006" "1_5" "inputs:\n\ta: {}\n";
    alias_without_anchor: "D0003" "1_5" "metadata: {a: *b}";
    unknown_tag: "D0007" "1_5" "metadata: {a: !foo b}";
    null_as_a_name: "D0008" "1_5" "inputs: {~: {}}";
    date_as_a_default: "D0008" "1_5" "inputs: {a: {default: 2020-01-31}}";
    metadata_is_not_a_mapping: "D0008" "1_5" "metadata: [a]";
    negative_retries: "D0008" "1_5" "BASE\nnode_templates: {a: {type: t, interfaces: {i: {o: {implementation: p.f, max_retries: -2}}}}}";
    wrong_shape_1: "D0010" "1_5" "inputs: []";
    unknown_key_1: "D0010" "1_5" "inputs: {a: {typ: string}}";
    unknown_section_1: "D0010" "1_5" "upload_resources: {}";
    missing_key_1: "D0010" "1_5" "outputs: {a: {}}";
    name_is_not_a_string_1: "D0010" "1_5" "inputs: {yes: {}}";
    group_without_members_1: "D0010" "1_5" "groups: {g: {members: []}}";
    negative_deploy_1: "D0010" "1_5" "BASE\nnode_templates: {a: {type: t, instances: {deploy: -1}}}";
    duplicate_import_2: "D0011" "1_5" "imports: [a.yaml, a.yaml]" ["a.yaml": "{}"];
    section_cannot_be_merged_3: "D0012" "1_2" "imports: [a.yaml]\ninputs: {x: {}}" ["a.yaml": "inputs: {y: {}}"];
    policies_never_merge_3: "D0012" "1_5" "BASE\nimports: [a.yaml]\nnode_templates: {a: {type: t}}\ngroups: {g: {members: [a]}}\npolicies: {s: {type: cloudify.policies.scaling, targets: [g]}}" ["a.yaml": "policies: {r: {type: cloudify.policies.scaling, targets: [g]}}"];
    relationships_added_to_a_template_without_any_4: "D0013" "1_5" "BASE\nimports: [a.yaml]\nnode_templates: {a: {type: t}, b: {type: t}}" ["a.yaml": "node_templates: {a: {relationships: [{type: cloudify.relationships.depends_on, target: b}]}}"];
    conflicting_names_4: "D0013" "1_5" "imports: [a.yaml]\nnode_types: {x: {}}" ["a.yaml": "node_types: {x: {}}"];
    unknown_node_type_7: "D0030" "1_5" "node_templates: {a: {type: zz}}";
    one_line_of_text_is_no_script_10: "D0040" "1_5" "BASE\nnode_templates: {a: {type: t, interfaces: {i: {o: \"\\n echo x \\n\"}}}}";
    unknown_operation_10: "D0040" "1_5" "BASE\nnode_templates: {a: {type: t, interfaces: {i: {o: zz.f}}}}";
    import_not_found_13: "D0014" "1_5" "imports: [nowhere.yaml]";
    plugin_executor_18: "D0043" "1_5" "plugins: {q: {executor: foo, install: false}}";
    unknown_relationship_operation_19: "D0041" "1_5" "BASE\nnode_templates: {b: {type: t}, a: {type: t, relationships: [{type: cloudify.relationships.depends_on, target: b, source_interfaces: {i: {o: zz.f}}}]}}";
    unknown_workflow_21: "D0048" "1_5" "BASE\nworkflows: {w: zz.x}";
    relationship_to_itself_23: "D0050" "1_5" "BASE\nnode_templates: {a: {type: t, relationships: [{type: cloudify.relationships.depends_on, target: a}]}}";
    host_plugin_without_host_24: "D0049" "1_5" "plugins: {q: {executor: host_agent, install: false}}\nnode_types: {n: {interfaces: {i: {o: q.f}}}}\nnode_templates: {a: {type: n}}";
    unknown_target_25: "D0051" "1_5" "BASE\nnode_templates: {a: {type: t, relationships: [{type: cloudify.relationships.depends_on, target: zz}]}}";
    unknown_relationship_26: "D0052" "1_5" "BASE\nnode_templates: {b: {type: t}, a: {type: t, relationships: [{type: zz, target: b}]}}";
    import_requires_a_newer_version_28: "D0015" "1_2" "imports: [a.yaml]" ["a.yaml": "tosca_definitions_version: cloudify_dsl_1_3"];
    operation_executor_28: "D0045" "1_5" "BASE\nnode_templates: {a: {type: t, interfaces: {i: {o: {implementation: p.f, executor: auto}}}}}";
    unknown_member_40: "D0065" "1_5" "groups: {g: {members: [zz]}}";
    unknown_policy_type_41: "D0066" "1_5" "BASE\nnode_templates: {a: {type: t}}\ngroups: {g: {members: [a], policies: {p1: {type: zz}}}}";
    unknown_trigger_42: "D0067" "1_5" "BASE\nnode_templates: {a: {type: t}}\npolicy_types: {y: {source: s}}\ngroups: {g: {members: [a], policies: {p1: {type: y, triggers: {r: {type: zz}}}}}}";
    plugin_without_source_50: "D0044" "1_5" "plugins: {q: {executor: host_agent}}";
    script_path_set_twice_60: "D0046" "1_5" "plugins: {script: {executor: central_deployment_agent, install: false}}\nnode_types: {n: {}}\nnode_templates: {a: {type: n, interfaces: {i: {o: {implementation: x.sh, inputs: {script_path: y}}}}}}" ["x.sh": "true"];
    missing_script_plugin_61: "D0047" "1_5" "node_types: {n: {}}\nnode_templates: {a: {type: n, interfaces: {i: {o: x.sh}}}}" ["x.sh": "true"];
    ambiguous_plugin_91: "D0042" "1_5" "plugins: {p: {executor: central_deployment_agent, install: false}, p.x: {executor: central_deployment_agent, install: false}}\nnode_types: {n: {interfaces: {i: {o: p.x.f}}}}\nnode_templates: {a: {type: n}}";
    type_cycle_100: "D0032" "1_5" "node_types: {a: {derived_from: b}, b: {derived_from: a}}";
    data_type_cycle_100: "D0032" "1_5" "data_types: {a: {properties: {x: {type: b}}}, b: {properties: {y: {type: a}}}}";
    relationship_cycle_100: "D0032" "1_5" "BASE\nnode_templates: {a: {type: t, relationships: [{type: cloudify.relationships.depends_on, target: b}]}, b: {type: t, relationships: [{type: cloudify.relationships.connected_to, target: a}]}}";
    feature_requires_a_newer_version_102: "D0022" "1_1" "data_types: {}";
    unknown_data_type_103: "D0031" "1_5" "inputs: {a: {type: zork}}";
    unknown_parent_103: "D0031" "1_5" "node_types: {a: {derived_from: zz}}";
    unknown_constraint_103: "D0084" "1_5" "inputs: {a: {constraints: [{longer: 3}]}}";
    empty_constraint_103: "D0084" "1_5" "inputs: {a: {constraints: [{}]}}";
    invalid_availability_rule_103: "D0099" "1_5" "BASE\nworkflows: {w: {mapping: p.x, availability_rules: {node_instances_active: [some]}}}";
    primitive_redefined_104: "D0036" "1_5" "data_types: {string: {}}";
    wrong_type_105: "D0033" "1_5" "node_types: {n: {properties: {x: {type: integer}}}}\nnode_templates: {a: {type: n, properties: {x: y}}}";
    wrong_default_105: "D0033" "1_5" "inputs: {a: {type: boolean, default: 1}}";
    undefined_property_106: "D0034" "1_5" "BASE\nnode_templates: {a: {type: t, properties: {y: 1}}}";
    missing_property_107: "D0035" "1_5" "node_types: {n: {properties: {x: {}}}}\nnode_templates: {a: {type: n}}";
    missing_operation_input_107: "D0035" "1_5" "plugins: {p: {executor: central_deployment_agent, install: false}}\nnode_types: {n: {interfaces: {i: {o: {implementation: p.f, inputs: {x: {}}}}}}}\nnode_templates: {a: {type: n}}";
    node_with_two_containers_112: "D0053" "1_5" "BASE\nnode_templates: {b: {type: t}, c: {type: t}, a: {type: t, relationships: [{type: cloudify.relationships.contained_in, target: b}, {type: cloudify.relationships.contained_in, target: c}]}}";
    group_cycle_200: "D0090" "1_5" "groups: {g: {members: [h]}, h: {members: [g]}}\npolicies: {s: {type: cloudify.policies.scaling, targets: [g, h]}}";
    node_in_two_scaling_groups_201: "D0091" "1_5" "BASE\nnode_templates: {a: {type: t}}\ngroups: {g: {members: [a]}, h: {members: [a]}}\npolicies: {s: {type: cloudify.policies.scaling, targets: [g, h]}}";
    members_in_different_containers_202: "D0092" "1_5" "BASE\nnode_templates: {h: {type: cloudify.nodes.Compute}, a: {type: t, relationships: [{type: cloudify.relationships.contained_in, target: h}]}, b: {type: t}}\ngroups: {g: {members: [a, b]}}\npolicies: {s: {type: cloudify.policies.scaling, targets: [g]}}";
    unknown_type_of_policy_204: "D0093" "1_5" "BASE\nnode_templates: {a: {type: t}}\ngroups: {g: {members: [a]}}\npolicies: {s: {type: other, targets: [g]}}";
    target_is_not_a_group_205: "D0094" "1_5" "BASE\nnode_templates: {a: {type: t}}\npolicies: {s: {type: cloudify.policies.scaling, targets: [a]}}";
    policy_without_targets_206: "D0095" "1_5" "policies: {s: {type: cloudify.policies.scaling, targets: []}}";
    contradictory_instance_counts_207: "D0060" "1_5" "BASE\nnode_templates: {a: {type: t, capabilities: {scalable: {properties: {min_instances: 3}}}}}";
    invalid_instance_count_208: "D0063" "1_5" "BASE\nnode_templates: {a: {type: t, capabilities: {scalable: {properties: {max_instances: MANY}}}}}";
    instance_count_set_twice_209: "D0061" "1_5" "BASE\nnode_templates: {a: {type: t, instances: {deploy: 1}, capabilities: {}}}";
    unknown_function_for_instance_count_210: "D0064" "1_5" "BASE\nnode_templates: {a: {type: t, capabilities: {scalable: {properties: {default_instances: {foo: 1}}}}}}";
    group_named_like_a_node_211: "D0068" "1_5" "BASE\nnode_templates: {a: {type: t}, b: {type: t}}\ngroups: {a: {members: [b]}}";
    wrong_constraint_argument_212: "D0083" "1_5" "inputs: {a: {constraints: [{equal: text}]}}";
    nested_namespace_212: "D0016" "1_5" "imports: [a--b--c.yaml]" ["c.yaml": "{}"];
    function_with_constraints_213: "D0085" "1_5" "inputs: {a: {default: {get_secret: s}, constraints: [{min_length: 1}]}}";
    blueprint_without_namespace_213: "D0017" "1_5" "imports: ['blueprint:b']";
    input_of_the_wrong_type_214: "D0037" "1_5" "inputs: {a: {type: integer}}" with r#"{"a": "x"}"#;
    namespace_on_basic_types_214: "D0018" "1_5" "imports: [ns--a.yaml]" ["a.yaml": "node_types: {cloudify.nodes.Root: {}}"];
    hidden_input_is_required_215: "D0086" "1_5" "inputs: {a: {hidden: true}}";
    display_on_the_wrong_type_216: "D0087" "1_5" "inputs: {a: {type: string, display: {rows: 2}}}";
    custom_item_type_217: "D0088" "1_5" "data_types: {d: {}}\ninputs: {a: {type: list, item_type: d}}";
    item_type_without_a_list_218: "D0089" "1_5" "inputs: {a: {type: dict, item_type: string}}";
    use_external_resource_by_function_219: "D0062" "1_5" "inputs: {i: {default: true}}\nnode_types: {n: {properties: {use_external_resource: {default: false}}}}\nnode_templates: {a: {type: n, properties: {use_external_resource: {get_input: i}}}}";
    malformed_import_properties_220: "D0019" "1_5" "imports: [{a.yaml: {x: {y: 1}}}]" ["a.yaml": "{}"];
    unknown_import_property_221: "D0023" "1_5" "imports: [{a.yaml: {x: 1}}]" ["a.yaml": "plugins: {q: {executor: host_agent, install: false}}"];
    label_1: "D0096" "1_5" "labels: {l: {values: [1]}}";
    label_of_an_attribute_1: "D0096" "1_5" "BASE\nnode_templates: {a: {type: t}}\nlabels: {l: {values: [{get_attribute: [a, b]}]}}";
    weekday_1: "D0097" "1_5" "deployment_settings: {default_schedules: {s: {workflow: w, since: '+1d', weekdays: [xx]}}}";
    wrong_function_arguments: "D0070" "1_5" "outputs: {o: {value: {concat: abc}}}";
    input_path_known_only_at_run_time: "D0073" "1_5" "BASE\nnode_templates: {a: {type: t}}\ninputs: {m: {default: {k: v}}}\noutputs: {o: {value: {get_input: [m, {get_attribute: [a, b]}]}}}" with "{}";
    input_name_known_only_at_run_time: "D0073" "1_5" "outputs: {o: {value: {concat: [{get_input: {get_secret: s}}]}}}" with "{}";
    property_known_only_at_run_time: "D0073" "1_5" "BASE\nnode_templates: {a: {type: t, properties: {x: {get_property: [SELF, {concat: [{get_attribute: [a, b]}]}]}}}}" with "{}";
    node_known_only_at_run_time: "D0073" "1_5" "BASE\nnode_templates: {a: {type: t}}\ncapabilities: {c: {value: {get_property: [{get_attribute: [a, b]}, x]}}}" with "{}";
    list_as_a_group: "D0070" "1_5" "outputs: {o: {value: {get_group_capability: [[g], c]}}}";
    list_as_a_key: "D0070" "1_5" "outputs: {o: {value: {get_group_capability: [g, [c, d], [k]]}}}";
    mapping_as_a_capability: "D0070" "1_5" "outputs: {o: {value: {get_group_capability: [g, {c: 1}]}}}";
    function_unknown_input: "D0071" "1_5" "outputs: {o: {value: {get_input: zz}}}";
    function_unknown_node: "D0072" "1_5" "outputs: {o: {value: {get_attribute: [zz, a]}}}";
    function_reads_an_unknown_property: "D0073" "1_5" "BASE\nnode_templates: {a: {type: t, properties: {x: {get_property: [SELF, zz]}}}}";
    wrong_function_argument_type: "D0075" "1_5" "outputs: {o: {value: {string_lower: [a, b]}}}";
    self_outside_a_node: "D0078" "1_5" "outputs: {o: {value: {get_property: [SELF, a]}}}";
    function_unknown_entity: "D0079" "1_5" "outputs: {o: {value: {get_sys: [zz, name]}}}";
    function_unknown_entity_property: "D0112" "1_5" "outputs: {o: {value: {get_sys: [tenant, zz]}}}";
    function_cycle: "D0074" "1_5" "inputs: {a: {default: {concat: [{get_input: a}]}}}\noutputs: {o: {value: {get_input: a}}}" with "{}";
    function_reads_an_unknown_key_of_an_input: "D0076" "1_5" "inputs: {a: {default: {k: v}}}\noutputs: {o: {value: {get_input: [a, zz]}}}" with "{}";
    function_split_out_of_range: "D0077" "1_5" "outputs: {o: {value: {string_split: ['a,b', ',', 7]}}}" with "{}";
    function_merges_a_string: "D0113" "1_5" "inputs: {a: {default: text}}\noutputs: {o: {value: {merge: [{get_input: a}]}}}" with "{}";
    function_merges_a_number: "D0116" "1_5" "inputs: {a: {default: 1}}\noutputs: {o: {value: {merge: [{get_input: a}]}}}" with "{}";
    self_attribute_outside_a_node: "D0115" "1_5" "capabilities: {c: {value: {get_attribute: [SELF, x]}}}";
    constraints_are_null: "D0116" "1_5" "inputs: {a: {default: 1, constraints: null}}";
    imports_are_null: "D0116" "1_5" "imports:";
    instance_count_is_not_a_number: "D0116" "1_5" "BASE\ninputs: {i: {default: many}}\nnode_templates: {a: {type: t, capabilities: {scalable: {properties: {default_instances: {get_input: i}}}}}}" with "{}";
    metadata_protects_an_unknown_node: "D0120" "1_5" "BASE\nmetadata: {dockctl: {protect: [b]}}\nnode_templates: {a: {type: t}}";
    metadata_names_an_unknown_sensitive_input: "D0120" "1_5" "BASE\nmetadata: {dockctl: {sensitive: [pasword]}}\ninputs: {password: {}}\nnode_templates: {a: {type: t}}";
    unknown_metadata_key: "D0120" "1_5" "BASE\nmetadata: {dockctl: {protected: [a]}}\nnode_templates: {a: {type: t}}";
    metadata_value_is_not_a_list: "D0120" "1_5" "BASE\nmetadata: {dockctl: {protect: a}}\nnode_templates: {a: {type: t}}";
    namespaced_parent_101: "D0117" "1_5" "imports: [ns--a.yaml]" ["a.yaml": "data_types: {a: {}, b: {derived_from: a}}"];
    value_nested_too_deep: "D0074" "1_5" "outputs: {o: {value: DEEP}}" with "{}";
    input_missing: "D0080" "1_5" "inputs: {a: {}}" with "{}";
    input_not_declared: "D0081" "1_5" "inputs: {}" with r#"{"zz": 1}"#;
    constraint_violated: "D0082" "1_5" "inputs: {a: {constraints: [{in_range: [1, 3]}]}}" with r#"{"a": 4}"#;
    connection_type: "D0054" "1_5" "BASE\nnode_templates: {b: {type: t}, a: {type: t, relationships: [{type: cloudify.relationships.depends_on, target: b, properties: {connection_type: one}}]}}" with "{}";
    relationship_without_a_base_type: "D0055" "1_5" "relationships: {free: {}}\nnode_types: {n: {}}\nnode_templates: {b: {type: n}, a: {type: n, relationships: [{type: free, target: b}]}}" with "{}";
    all_to_one_in_a_group: "D0058" "1_5" "BASE\nnode_templates: {b: {type: t}, a: {type: t, relationships: [{type: cloudify.relationships.depends_on, target: b, properties: {connection_type: all_to_one}}]}}\ngroups: {g: {members: [a, b]}}\npolicies: {s: {type: cloudify.policies.scaling, targets: [g]}}" with "{}";
    lifecycle_operation_missing_215: "D0056" "1_5" "relationships: {cloudify.relationships.depends_on_lifecycle_operation: {properties: {operation: {required: false}}}}\nnode_types: {n: {}}\nnode_templates: {b: {type: n}, a: {type: n, relationships: [{type: cloudify.relationships.depends_on_lifecycle_operation, target: b}]}}";
    lifecycle_operation_not_defined_216: "D0057" "1_5" "relationships: {cloudify.relationships.depends_on_lifecycle_operation: {properties: {operation: {}}}}\nnode_types: {n: {}}\nnode_templates: {b: {type: n}, a: {type: n, relationships: [{type: cloudify.relationships.depends_on_lifecycle_operation, target: b, properties: {operation: create}}]}}";
    too_many_instances: "D0004" "1_5" "BASE\nnode_templates: {a: {type: t, instances: {deploy: 1000000000}}}" with "{}";
    oversized_data_types: "D0004" "1_5" "data_types: {a: {properties: {x: {type: b}, y: {type: b}, z: {type: b}}}, b: {properties: {x: {type: c}, y: {type: c}, z: {type: c}}}, c: {properties: {x: {type: d}, y: {type: d}, z: {type: d}}}, d: {properties: {x: {type: e}, y: {type: e}, z: {type: e}}}, e: {properties: {x: {type: f}, y: {type: f}, z: {type: f}}}, f: {properties: {x: {type: g}, y: {type: g}, z: {type: g}}}, g: {properties: {x: {type: h}, y: {type: h}, z: {type: h}}}, h: {properties: {x: {type: i}, y: {type: i}, z: {type: i}}}, i: {properties: {x: {type: j}, y: {type: j}, z: {type: j}}}, j: {properties: {x: {type: k}, y: {type: k}, z: {type: k}}}, k: {properties: {x: {}, y: {}, z: {}}}}";
}
