//! Stable codes of diagnostics, each with its meaning and advice.
//!
//! `dockctl explain` prints the doc comments of the codes, and `docs/errors.md` is generated from
//! them. The first line states the error, the rest is advice.

/// The error that Cloudify's own parser reports for the same rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reference {
    /// Name of the exception class.
    pub class: &'static str,
    /// Number of the error, if it has one.
    pub code: Option<i32>,
}

const LOGIC: &str = "DSLParsingLogicException";
const FORMAT: &str = "DSLParsingFormatException";
const BASE: &str = "DSLParsingException";

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $reference:expr;)+) => {
        /// The rule that is violated. The meaning of a code never changes.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Code { $($(#[doc = $doc])+ $name,)+ }

        impl Code {
            /// All codes, in ascending order.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Returns the code as shown, for example `D0007`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $number,)+ }
            }

            /// Returns Cloudify's error for the same rule, or `None` if only dockctl has the rule.
            #[must_use]
            pub fn reference(self) -> Option<Reference> {
                let reference: Option<(&'static str, Option<i32>)> = match self { $(Self::$name => $reference,)+ };
                reference.map(|(class, code)| Reference { class, code })
            }

            /// Returns the lines of the doc comment.
            fn lines(self) -> &'static [&'static str] {
                match self { $(Self::$name => &[$($doc),+],)+ }
            }
        }
    };
}

impl Code {
    /// Returns the rule, one sentence.
    #[must_use]
    pub fn rule(self) -> &'static str {
        self.lines()[0].trim()
    }

    /// Returns the advice.
    #[must_use]
    pub fn advice(self) -> String {
        self.lines()[1..]
            .iter()
            .map(|line| line.trim())
            .collect::<Vec<_>>()
            .join(" ")
            .trim()
            .to_owned()
    }

    /// Parses a code in any case, with or without the letter and leading zeros.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let number: u32 = text.strip_prefix(['d', 'D']).unwrap_or(text).parse().ok()?;
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.as_str() == format!("D{number:04}"))
    }
}

codes! {
    /// The file cannot be read.
    ///
    /// Use a regular file in UTF-8 of at most 16 MiB. The message names the problem: the file is
    /// missing, is a directory, device or pipe, is too large, or is not UTF-8.
    Unreadable = "D0001", Some((LOGIC, Some(30)));
    /// The file is not valid YAML: its structure is broken.
    ///
    /// Close every bracket and align the lines of each block.
    Syntax = "D0002", Some((FORMAT, Some(-1)));
    /// The file has several YAML documents, an undefined alias, or a duplicate anchor.
    ///
    /// Write exactly one document. Define each anchor (`&name`) once, before its aliases (`*name`)
    /// and in the same file.
    YamlDocument = "D0003", Some(("ComposerError", None));
    /// The blueprint exceeds a limit that protects against hostile input.
    ///
    /// Make the blueprint smaller. `docs/compatibility.md` lists the limits on file size, depth,
    /// values after alias expansion, imports and instances.
    Limit = "D0004", None;
    /// A key appears twice in one mapping; the last value applies.
    ///
    /// Remove one of them. This is only a warning because Cloudify accepts duplicate keys.
    DuplicateKey = "D0005", None;
    /// The file is not valid YAML: a token is malformed.
    ///
    /// Use spaces instead of tabs, close every quote, and quote text that contains `: `.
    MalformedToken = "D0006", Some(("ScannerError", None));
    /// The file is YAML, but one of its values has no meaning in a blueprint.
    ///
    /// Remove language-specific tags such as `!!python/object`, merge only mappings with `<<`,
    /// and do not nest a value in itself.
    MeaninglessValue = "D0007", Some(("ConstructorError", None));
    /// A value is not allowed here, such as a date, `null` as a name, or a number out of range.
    ///
    /// Quote values that are meant as text: YAML reads `2020-01-31` as a date and `~` as null.
    ValueNotAllowed = "D0008", Some(("ValueError", None));
    /// A value has the wrong type, or a key is unknown or missing.
    ///
    /// Correct the key that the message names. `dockctl schema` prints the JSON Schema of a
    /// blueprint.
    Format = "D0010", Some((FORMAT, Some(1)));
    /// A file is imported twice in one `imports` list.
    ///
    /// Remove one of the two entries.
    ImportTwice = "D0011", Some((FORMAT, Some(2)));
    /// A section cannot be merged across imports.
    ///
    /// Keep the section in one file. Inputs, outputs, node templates, capabilities and labels can
    /// be merged since `cloudify_dsl_1_3`; policies and deployment settings cannot.
    MergeSection = "D0012", Some((LOGIC, Some(3)));
    /// Two files define the same name.
    ///
    /// Rename one definition, or import one file under a namespace: `ns--file.yaml`.
    MergeConflict = "D0013", Some((LOGIC, Some(4)));
    /// An import cannot be found or read.
    ///
    /// Correct the name or the URL. dockctl looks for a relative name in the working directory,
    /// then next to the importing file. dockctl downloads a URL unless it is bundled or cached.
    ImportNotFound = "D0014", Some((LOGIC, Some(13)));
    /// An imported file needs a newer DSL version than the main file declares.
    ///
    /// Declare that version in the blueprint.
    ImportVersion = "D0015", Some((LOGIC, Some(28)));
    /// A namespace contains `--`.
    ///
    /// Choose a namespace without `--`. In `a--b--file.yaml` the last `--` ends the namespace,
    /// which would be `a--b`.
    Namespace = "D0016", Some((LOGIC, Some(212)));
    /// An import of a blueprint (`blueprint:ID`) has no namespace.
    ///
    /// Write `ns--blueprint:ID`.
    BlueprintNamespace = "D0017", Some((LOGIC, Some(213)));
    /// The basic types are imported under a namespace, or two imported blueprints share a namespace.
    ///
    /// Import the basic types without a namespace. Give each imported blueprint its own namespace.
    NamespaceUse = "D0018", Some((LOGIC, Some(214)));
    /// An import with properties is malformed.
    ///
    /// Write a mapping with one key, the name of the file. Use strings, numbers, booleans, lists or
    /// functions as property values.
    ImportProperties = "D0019", Some((FORMAT, Some(220)));
    /// `tosca_definitions_version` is missing.
    ///
    /// Start the blueprint with it, for example `tosca_definitions_version: cloudify_dsl_1_3`.
    VersionMissing = "D0020", Some((LOGIC, Some(27)));
    /// `tosca_definitions_version` is not a known version.
    ///
    /// Use one of `cloudify_dsl_1_0` to `cloudify_dsl_1_5`.
    VersionUnknown = "D0021", Some((LOGIC, Some(29)));
    /// A feature needs a newer DSL version than the blueprint declares.
    ///
    /// Declare the version that the message names, or remove the feature.
    FeatureTooNew = "D0022", Some((LOGIC, Some(102)));
    /// An import sets a plugin property that is not declared, or sets it to a value of the wrong type.
    ///
    /// Use the names and types that the plugin declares under `properties` in the imported file.
    ImportPropertyUnknown = "D0023", Some((LOGIC, Some(221)));
    /// An import names an edition that is not bundled; another edition is used instead.
    ///
    /// Import the edition that the message names. Types, defaults and operations can differ
    /// slightly between editions.
    OtherEdition = "D0024", None;
    /// A node has a type that is not defined.
    ///
    /// Import the file that defines the type, or correct the name.
    UnknownNodeType = "D0030", Some((LOGIC, Some(7)));
    /// A parent type or data type is not defined.
    ///
    /// Import the file that defines the type, or correct the name.
    UnknownType = "D0031", Some((LOGIC, Some(103)));
    /// Definitions depend on each other in a cycle.
    ///
    /// Break the cycle that the message shows. A type cannot derive from itself, a data type cannot
    /// contain itself, and a node cannot depend on itself through any chain of relationships.
    Cycle = "D0032", Some((LOGIC, Some(100)));
    /// A value does not match its declared type.
    ///
    /// Use a value of the declared type, and quote text. YAML reads `yes` as a boolean, `22:22` as
    /// a number, and `1e3` as text.
    TypeMismatch = "D0033", Some((LOGIC, Some(105)));
    /// A node sets a property that its type does not declare.
    ///
    /// Correct the name, or declare the property in the type.
    UndefinedProperty = "D0034", Some((LOGIC, Some(106)));
    /// A required property or operation input has no value.
    ///
    /// Set it, or declare a default or `required: false`. A type that redeclares a property without
    /// its default loses the default.
    MissingProperty = "D0035", Some((LOGIC, Some(107)));
    /// A data type has the name of a primitive type.
    ///
    /// Rename the data type.
    PrimitiveRedefined = "D0036", Some((LOGIC, Some(104)));
    /// The value of an input does not match its declared type.
    ///
    /// Use `-i name=text` for text, numbers and booleans: the text is converted to the declared
    /// type. Use `-i name:=YAML` for any other value.
    InputType = "D0037", Some((BASE, Some(214)));
    /// An operation names neither a declared plugin nor a script.
    ///
    /// Write `plugin.module.function` with a declared plugin, or the path of a file next to the
    /// blueprint.
    UnknownImplementation = "D0040", Some((LOGIC, Some(10)));
    /// A relationship operation names neither a declared plugin nor a script.
    ///
    /// Write `plugin.module.function` with a declared plugin, or the path of a file next to the
    /// blueprint.
    UnknownRelationshipImplementation = "D0041", Some((LOGIC, Some(19)));
    /// An operation matches several plugins.
    ///
    /// Rename one of the plugins so that no plugin name is a prefix of another.
    AmbiguousImplementation = "D0042", Some((LOGIC, Some(91)));
    /// A plugin has an unknown executor.
    ///
    /// Use `central_deployment_agent` or `host_agent`.
    Executor = "D0043", Some((LOGIC, Some(18)));
    /// A plugin that must be installed has neither a source nor a package.
    ///
    /// Set `source` or `package_name`, or set `install: false`.
    PluginSource = "D0044", Some((LOGIC, Some(50)));
    /// An operation has an unknown executor.
    ///
    /// Use `central_deployment_agent` or `host_agent`.
    OperationExecutor = "D0045", Some((LOGIC, Some(28)));
    /// The path or text of a script is set twice.
    ///
    /// Remove the input `script_path` or `script_source`: the implementation already sets it.
    ScriptInput = "D0046", Some((LOGIC, Some(60)));
    /// An operation is a script, but no script plugin is declared.
    ///
    /// Import a file that declares one, such as the basic types, or declare a plugin with a name
    /// that ends in `script`.
    NoScriptPlugin = "D0047", Some((LOGIC, Some(61)));
    /// A workflow names neither a declared plugin nor a script.
    ///
    /// Write `plugin.module.function` with a declared plugin, or the path of a file next to the
    /// blueprint.
    UnknownWorkflow = "D0048", Some((LOGIC, Some(21)));
    /// A plugin runs on a host, but a node that uses it is not contained in a host.
    ///
    /// Contain the node in a host, or use the executor `central_deployment_agent`. Plugins that
    /// dockctl provides do not need a host.
    NoHost = "D0049", Some((LOGIC, Some(24)));
    /// A relationship points to its own node.
    ///
    /// Point it to another node.
    SelfRelationship = "D0050", Some((LOGIC, Some(23)));
    /// A relationship points to a node that is not defined.
    ///
    /// Correct the name, or define the node.
    UnknownTarget = "D0051", Some((LOGIC, Some(25)));
    /// A relationship has a type that is not defined.
    ///
    /// Import the file that defines the type, or correct the name.
    UnknownRelationship = "D0052", Some((LOGIC, Some(26)));
    /// A node is contained in two other nodes.
    ///
    /// Keep one `contained_in` relationship, and use `connected_to` or `depends_on` for the other
    /// one.
    MultipleContainedIn = "D0053", Some((LOGIC, Some(112)));
    /// `connection_type` is neither `all_to_all` nor `all_to_one`.
    ///
    /// Set it to one of the two. The basic relationship types declare it with the default
    /// `all_to_all`.
    ConnectionType = "D0054", Some(("IllegalConnectedToConnectionType", None));
    /// A relationship type is not derived from a base type.
    ///
    /// Derive it from `cloudify.relationships.depends_on`, `connected_to` or `contained_in`.
    UnsupportedRelationship = "D0055", Some(("UnsupportedRelationship", None));
    /// A dependency on a lifecycle operation does not name the operation.
    ///
    /// Set the property `operation`.
    LifecycleOperation = "D0056", Some((LOGIC, Some(215)));
    /// A dependency names a lifecycle operation that its target node does not define.
    ///
    /// Define the operation under `cloudify.interfaces.lifecycle` in the node template of the
    /// target.
    LifecycleTarget = "D0057", Some((LOGIC, Some(216)));
    /// An `all_to_one` relationship connects two members of one scaling group.
    ///
    /// Use `all_to_all`: inside a group it connects the members of the same group instance.
    AllToOneInGroup = "D0058", Some(("UnsupportedAllToOneInGroup", None));
    /// An `all_to_one` relationship already leads to several instances.
    ///
    /// Use `all_to_all`: the existing instances contradict `all_to_one`.
    AllToOneState = "D0059", Some(("IllegalAllToOneState", None));
    /// Numbers of instances are out of range or contradict each other.
    ///
    /// Choose `min_instances` ≤ `default_instances` ≤ `max_instances`, none below 0, and
    /// `max_instances` at least 1. Use exactly one instance for a node that adopts a container.
    InstanceNumbers = "D0060", Some((LOGIC, Some(207)));
    /// A node sets both `instances.deploy` and `capabilities.scalable`.
    ///
    /// Keep only `capabilities.scalable`.
    ScalingSetTwice = "D0061", Some((LOGIC, Some(209)));
    /// `use_external_resource` is computed by a function.
    ///
    /// Write true or false: the value decides which properties are required.
    ExternalByFunction = "D0062", Some((LOGIC, Some(219)));
    /// A number of instances is text.
    ///
    /// Use an integer. `max_instances` can also be `UNBOUNDED`.
    InstanceLiteral = "D0063", Some((LOGIC, Some(208)));
    /// A number of instances is a mapping that is not a function.
    ///
    /// Use an integer or a function such as `{get_input: count}`.
    InstanceFunction = "D0064", Some((LOGIC, Some(210)));
    /// A group has a member that is neither a node nor a group.
    ///
    /// Correct the name, or define the node.
    GroupMember = "D0065", Some((LOGIC, Some(40)));
    /// A policy of a group has a type that is not defined.
    ///
    /// Define the type under `policy_types`.
    PolicyType = "D0066", Some((LOGIC, Some(41)));
    /// A trigger of a group policy has a type that is not defined.
    ///
    /// Define the type under `policy_triggers`.
    PolicyTrigger = "D0067", Some((LOGIC, Some(42)));
    /// A group has the name of a node.
    ///
    /// Rename one of them.
    GroupName = "D0068", Some((LOGIC, Some(211)));
    /// A function has arguments of the wrong form.
    ///
    /// Pass the arguments that the message describes.
    FunctionArguments = "D0070", Some(("ValueError", None));
    /// A function names an input that is not declared.
    ///
    /// Declare the input under `inputs`, or correct the name.
    UnknownInput = "D0071", Some(("UnknownInputError", None));
    /// A function names a node that is not defined.
    ///
    /// Correct the name, or define the node.
    UnknownFunctionNode = "D0072", Some(("KeyError", None));
    /// A function cannot be evaluated, usually because a property, key or index does not exist.
    ///
    /// Correct the property, key or index that the message names.
    FunctionEvaluation = "D0073", Some(("FunctionEvaluationError", None));
    /// Functions refer to each other in a cycle, or are nested too deeply.
    ///
    /// Break the cycle that the message shows: replace one function with a plain value.
    FunctionCycle = "D0074", Some(("EvaluationRecursionLimitReached", None));
    /// A function call is invalid.
    ///
    /// Pass the arguments that the message describes, or declare the DSL version that the message
    /// names.
    FunctionValidation = "D0075", Some(("FunctionValidationError", None));
    /// `get_input` finds no such key or index in the input, or a value of the wrong type.
    ///
    /// Correct the key or index, or the value of the input.
    InputEvaluation = "D0076", Some(("InputEvaluationError", None));
    /// `string_split` requests a part that does not exist.
    ///
    /// Use the index of an existing part. Negative numbers count from the end.
    SplitIndex = "D0077", Some(("IndexError", None));
    /// SELF, SOURCE or TARGET is used where it has no meaning.
    ///
    /// Use SELF only in nodes, and SOURCE and TARGET only in operations of relationships.
    /// Elsewhere, write the name of the node.
    FunctionScope = "D0078", Some(("ValueError", None));
    /// `get_sys` names an unknown entity.
    ///
    /// Use `tenant` or `deployment`.
    SysEntity = "D0079", Some(("UnknownSysEntityError", None));
    /// A required input has no value.
    ///
    /// Set it with `-i name=value`, or declare a default or `required: false`. `default: null` does
    /// not count as a default.
    MissingInput = "D0080", Some(("MissingRequiredInputError", None));
    /// You set an input that the blueprint does not declare.
    ///
    /// Correct the name, or declare the input under `inputs`.
    UndeclaredInput = "D0081", Some(("UnknownInputError", None));
    /// The value of an input violates a constraint.
    ///
    /// Use a value that satisfies the constraint. The message names both.
    Constraint = "D0082", Some(("ConstraintException", None));
    /// A constraint has an invalid argument.
    ///
    /// Use a number for comparisons and lengths, a list of two numbers for `in_range`, a list for
    /// `valid_values`, and a regular expression for `pattern`.
    ConstraintArgument = "D0083", Some((LOGIC, Some(212)));
    /// A constraint has no operator or an unknown one.
    ///
    /// Use one of the operators that the message lists.
    ConstraintOperator = "D0084", Some((LOGIC, Some(103)));
    /// An input that has constraints is set to a function.
    ///
    /// Use a plain value: constraints cannot be checked on a function.
    ConstraintFunction = "D0085", Some((BASE, Some(213)));
    /// An input is hidden and required, but has no default.
    ///
    /// Declare a default or `required: false`, because a hidden input cannot be set.
    HiddenRequired = "D0086", Some((LOGIC, Some(215)));
    /// An input has a `display` but is not a `textarea`.
    ///
    /// Remove `display`, or declare `type: textarea`.
    Display = "D0087", Some(("DSLParsingInputTypeException", Some(216)));
    /// `item_type` is not a primitive type.
    ///
    /// Use a primitive type for the items of a list.
    ItemType = "D0088", Some((LOGIC, Some(217)));
    /// An input has an `item_type` but is not a list.
    ///
    /// Declare `type: list`.
    ItemTypeWithoutList = "D0089", Some((LOGIC, Some(218)));
    /// Scaling groups contain each other in a cycle.
    ///
    /// Break the cycle that the message shows.
    GroupCycle = "D0090", Some((LOGIC, Some(200)));
    /// A node or group is a member of two scaling groups.
    ///
    /// Make one of the groups a member of the other.
    MemberOfTwoGroups = "D0091", Some((LOGIC, Some(201)));
    /// Members of a scaling group are contained in different nodes.
    ///
    /// Contain all members in one common node or in each other, or leave all of them uncontained.
    GroupContainment = "D0092", Some((LOGIC, Some(202)));
    /// A policy has an unknown type.
    ///
    /// Use `cloudify.policies.scaling`, the only policy type.
    ScalingPolicy = "D0093", Some((LOGIC, Some(204)));
    /// A scaling policy has a target that is not a group.
    ///
    /// Use the name of a group as the target. To scale a node, make it a member of a group.
    PolicyTarget = "D0094", Some((LOGIC, Some(205)));
    /// A scaling policy has no targets.
    ///
    /// Name at least one group.
    NoTargets = "D0095", Some((LOGIC, Some(206)));
    /// A label has a value that is not allowed.
    ///
    /// Use strings as values. Values of `labels` can also be functions other than `get_attribute`.
    Label = "D0096", Some((BASE, Some(1)));
    /// A schedule has an unknown weekday, or uses `get_attribute` in its workflow parameters.
    ///
    /// Write days as `su`, `mo`, `tu`, `we`, `th`, `fr` or `sa`. Do not use `get_attribute` in the
    /// parameters.
    Schedule = "D0097", Some((BASE, Some(1)));
    /// A secret is not available.
    ///
    /// Set the environment variable `DOCKCTL_SECRET_<NAME>`, or pass `--secrets PATH` with a file,
    /// or with a directory that has one file per secret.
    UnknownSecret = "D0098", Some(("UnknownSecretError", None));
    /// A rule for the availability of a workflow has an unknown value.
    ///
    /// Use `all`, `partial` and `none` in the list `node_instances_active`.
    AvailabilityRule = "D0099", Some((LOGIC, Some(103)));
    /// The name of a container, network or volume is missing or invalid.
    ///
    /// Use two or more of the characters `[a-zA-Z0-9_.-]`, and start with a letter or digit. A node
    /// that adopts a container must name it.
    ObjectName = "D0100", None;
    /// An operation does not accept one of its arguments.
    ///
    /// Use the arguments that `docs/blueprint.md` or `dockctl explain params` lists.
    UnknownArgument = "D0101", None;
    /// An argument has a value that cannot be converted for the engine.
    ///
    /// Use a value of the form that the message describes.
    ArgumentValue = "D0102", None;
    /// A container node has no usable `image`.
    ///
    /// Set `image.repository`, or set `image.src` to a tarball, directory or URL.
    Image = "D0103", None;
    /// The file that `image.src` names does not exist.
    ///
    /// Correct the path. A relative path is relative to the directory of the blueprint.
    ImageFile = "D0104", None;
    /// An argument has no effect here.
    ///
    /// Remove it, or move it to the operation that the message names.
    NoEffect = "D0105", None;
    /// Two nodes use the same name for a container, network or volume.
    ///
    /// Rename one of them.
    DuplicateName = "D0106", None;
    /// Several objects need the same fixed host port, address or subnet, which only one can have.
    ///
    /// Publish a range of ports, let the engine choose ports, addresses and subnets, or declare several nodes.
    SingleHolder = "D0109", None;
    /// An operation belongs to a plugin that dockctl does not provide.
    ///
    /// Install with `--skip-unsupported`. Without it, install refuses the blueprint.
    UnsupportedOperation = "D0110", None;
    /// The blueprint uses a DSL feature that this version of dockctl ignores.
    ///
    /// Do not rely on the feature. The message names it.
    NotImplemented = "D0111", None;
    /// `get_sys` names an unknown property.
    ///
    /// Use `name` of a tenant, or `id`, `name`, `blueprint` or `owner` of a deployment.
    SysProperty = "D0112", Some(("UnknownSysPropertyError", None));
    /// A function cannot use the result of another function.
    ///
    /// Pass a value that the function accepts. `merge` accepts only mappings.
    FunctionResult = "D0113", Some(("ValueError", None));
    /// A schedule has an invalid time or time zone.
    ///
    /// Write `since` and `until` as `2030-01-31 23:59` or `+2h`, `recurrence` as `1d` or `2 weeks`,
    /// and `timezone` as a name such as `Europe/Berlin`.
    ScheduleTime = "D0114", Some(("NonRecoverableError", None));
    /// An attribute function uses SELF, SOURCE or TARGET outside nodes and relationships.
    ///
    /// Write the name of the node.
    AttributeScope = "D0115", Some(("KeyError", None));
    /// A value has a type that cannot be used here.
    ///
    /// Use the type that the message names, such as an integer, a list or a name. A list or mapping
    /// cannot be a key: quote `"{{ name }}"`.
    WrongType = "D0116", Some(("TypeError", None));
    /// A data type under a namespace is derived from a type in the same file.
    ///
    /// Import the file without a namespace. The namespace is not added to the name of the parent,
    /// which is therefore not found.
    NamespacedParent = "D0117", Some(("DSLParsingSchemaAPIException", Some(101)));
    /// A `wait_for` condition cannot be met.
    ///
    /// Give the container a health check to wait for `healthy`, and a network to wait for a port.
    /// Do not wait for `exited` if the engine restarts or removes the container when it exits.
    UnmeetableWait = "D0118", None;
    /// A relationship to a network or volume has an invalid source, target or property.
    ///
    /// Connect a container to a network with `attached_to_network`, or to a volume with `mounts`,
    /// on the same engine. Give `mounts` a `target`. Use plain values as properties: functions are
    /// not evaluated there.
    InvalidAttachment = "D0119", None;
    /// `metadata.dockctl` is malformed or names something that the blueprint does not declare.
    ///
    /// Use only the keys `protect` (nodes), `sensitive` (inputs) and `adopted` (nodes). Set each to
    /// a list of names that the blueprint declares.
    InvalidMetadata = "D0120", None;
    /// An operation reads an attribute of a node that starts later.
    ///
    /// Remove the dependency of that node on the reader, or read the attribute in an operation that
    /// runs after both nodes have started. Before that, the attribute is null.
    AttributeReadEarly = "D0121", None;
    /// A node reads an attribute of another node, but no relationship makes that node start first.
    ///
    /// Add a relationship. dockctl starts the other node first anyway, but Cloudify orders nodes
    /// only by relationships.
    UnorderedAttribute = "D0122", None;
    /// A node represents objects of two systems.
    ///
    /// Declare one node for each system.
    TwoSystems = "D0123", None;
    /// The names of the instances of a node cannot be used.
    ///
    /// Give each instance another name. There are as many instances as names: leave out `deploy`.
    /// A node with names can be inside only one instance of its container or scaling group.
    InstanceNames = "D0124", None;
    /// A specification of a group of InfraKit is invalid.
    ///
    /// Correct the key or the value. `docs/infrakit.md` describes specifications of groups.
    Document = "D0125", None;
    /// A template in a document cannot be expanded.
    ///
    /// Use `{{ var "NAME" }}`, `{{ env "NAME" }}`, quoted text or comments. Write `{{ "{{" }}` for
    /// two braces that are text.
    Template = "D0126", None;
    /// A container is created and never started, because its operation `start` does nothing.
    ///
    /// `start: {inputs: {}}` replaces the operation of the type. Leave out `start`, or repeat its implementation: `docker.docker_plugin.tasks.start`.
    NeverStarted = "D0127", None;
    /// Nodes refer to each other in a cycle, so that none of their objects can be created first.
    ///
    /// Remove one of the references, such as a link, `network_mode: container:NAME` or `volumes_from`.
    ReferenceCycle = "D0128", None;
    /// The last command of a shell script hides failures of the commands before it.
    ///
    /// Add `set -e`, or end with the command whose result counts. Otherwise the operation succeeds
    /// although a command failed. `dockctl validate --scripts` finds this.
    ScriptHidesFailure = "D0400", None;
    /// A node has a script that starts something, and no operation that stops it.
    ///
    /// Add a script for `stop`. Otherwise what the script started runs on after `uninstall`.
    ScriptStartsOnly = "D0401", None;
    /// A script calls sudo.
    ///
    /// Run dockctl as a user who may do this without sudo, or allow sudo without a password: a
    /// script has no terminal that could ask for one.
    ScriptNeedsSudo = "D0402", None;
    /// A script is written in Python 2.
    ///
    /// Port it to Python 3. If `python2` is installed where dockctl runs, the script runs with it.
    ScriptNeedsPython2 = "D0403", None;
    /// A script fetches something from an address.
    ///
    /// Make sure that the address can be reached where the script runs, and that its content is the
    /// one you expect.
    ScriptFetches = "D0404", None;
    /// An inline script may be shell or Python.
    ///
    /// Begin it with a `#!` line, or set `process.eval_python`. Without either, text that Python can
    /// parse is Python, even if it consists of shell commands such as `ls`.
    ScriptLanguage = "D0405", None;
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn numbers_are_unique_and_ascending() {
        let numbers: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    }

    #[test]
    fn every_code_has_a_rule_and_advice() {
        for code in Code::ALL {
            assert!(code.rule().ends_with('.'), "{}", code.as_str());
            assert!(code.advice().ends_with('.'), "{}", code.as_str());
            assert_eq!(Code::parse(&code.as_str().to_lowercase()), Some(*code));
            assert_eq!(
                Code::parse(code.as_str().trim_start_matches(['D', '0'])),
                Some(*code)
            );
        }
    }
}
