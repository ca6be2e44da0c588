//! The stable codes of faults, each with its meaning and what to do about it.
//!
//! The comments are what `dockctl explain` prints and what `docs/errors.md` is made of: first the
//! rule, then advice.

/// What the original implementation of the DSL reports for the same rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reference {
    /// Name of its exception class.
    pub class: &'static str,
    /// Its number, where it has one.
    pub code: Option<i32>,
}

const LOGIC: &str = "DSLParsingLogicException";
const FORMAT: &str = "DSLParsingFormatException";
const BASE: &str = "DSLParsingException";

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $reference:expr;)+) => {
        /// Which rule is broken. A number, once given, never changes its meaning.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Code { $($(#[doc = $doc])+ $name,)+ }

        impl Code {
            /// Every code, in the order of the numbers.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The code as shown, for example `D0007`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $number,)+ }
            }

            /// What the original implementation reports; none for rules that are dockctl's own.
            #[must_use]
            pub fn reference(self) -> Option<Reference> {
                let reference: Option<(&'static str, Option<i32>)> = match self { $(Self::$name => $reference,)+ };
                reference.map(|(class, code)| Reference { class, code })
            }

            /// The comment of the code, line by line.
            fn lines(self) -> &'static [&'static str] {
                match self { $(Self::$name => &[$($doc),+],)+ }
            }
        }
    };
}

impl Code {
    /// The rule, in a sentence.
    #[must_use]
    pub fn rule(self) -> &'static str {
        self.lines()[0].trim()
    }

    /// What to do about it.
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

    /// The code that is written so, in any case, with or without its letter and zeros.
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
    /// It is missing, a folder, a device or a pipe, larger than 16 MiB, or not UTF-8. The message
    /// says which.
    Unreadable = "D0001", Some((LOGIC, Some(30)));
    /// The text is not YAML: its parts stand where they cannot.
    ///
    /// Often a bracket is not closed, or a line is indented less than its neighbours.
    Syntax = "D0002", Some((FORMAT, Some(-1)));
    /// The text is YAML that is no blueprint: several documents, or an alias without its anchor.
    ///
    /// A blueprint is exactly one document. An anchor (`&name`) must stand before its alias
    /// (`*name`), in the same file, and can be given once.
    Yaml = "D0003", Some(("ComposerError", None));
    /// A limit that protects against hostile input is exceeded.
    ///
    /// `docs/compatibility.md` lists the limits: file size, depth, values after aliases, imports,
    /// instances.
    Limit = "D0004", None;
    /// A key is given twice in one mapping; the last one holds.
    ///
    /// Remove one of them. This is a warning, since blueprints with such keys were always accepted.
    DuplicateKey = "D0005", None;
    /// The text is not YAML: a part of it is malformed.
    ///
    /// Often a tab where spaces must be, a quote that is not closed, or `: ` inside unquoted text.
    Scanner = "D0006", Some(("ScannerError", None));
    /// The text is YAML that stands for no value here.
    ///
    /// Tags of other languages are not known, `<<` merges mappings only, a value cannot contain
    /// itself.
    Construct = "D0007", Some(("ConstructorError", None));
    /// A value of a kind that cannot stand here: a date, `null` as a name, a number out of range.
    ///
    /// YAML reads `2020-01-31` as a date and `~` as null. Quote what is meant as text.
    Foreign = "D0008", Some(("ValueError", None));
    /// A value has the wrong shape, or a key is unknown or missing.
    ///
    /// The message names the key and what it must be; `dockctl schema` prints the shape of
    /// everything.
    Format = "D0010", Some((FORMAT, Some(1)));
    /// The same file is imported twice in one list.
    ///
    /// Remove one of the two lines.
    ImportTwice = "D0011", Some((FORMAT, Some(2)));
    /// A section cannot be merged across imports.
    ///
    /// Inputs, outputs, node templates, capabilities and labels merge since `cloudify_dsl_1_3`;
    /// policies and deployment settings never do. Keep the section in one file.
    MergeSection = "D0012", Some((LOGIC, Some(3)));
    /// Two files define the same name.
    ///
    /// Rename one, or import one file under a namespace: `ns--file.yaml`.
    MergeConflict = "D0013", Some((LOGIC, Some(4)));
    /// An import cannot be found or read.
    ///
    /// Relative names are looked for in the working folder, then beside the importing file.
    /// Addresses need the network unless they are bundled or cached.
    ImportNotFound = "D0014", Some((LOGIC, Some(13)));
    /// The imported file needs a newer version of the DSL than the main file declares.
    ///
    /// Declare that version in the blueprint.
    ImportVersion = "D0015", Some((LOGIC, Some(28)));
    /// A namespace cannot itself hold `--`.
    ///
    /// In `a--b--file.yaml` the last `--` ends the namespace, so it would be `a--b`.
    Namespace = "D0016", Some((LOGIC, Some(212)));
    /// An import of a blueprint (`blueprint:ID`) needs a namespace.
    ///
    /// Write `ns--blueprint:ID`.
    BlueprintNamespace = "D0017", Some((LOGIC, Some(213)));
    /// A namespace is given to the basic types, or used for two blueprints.
    ///
    /// Import the basic types without a namespace; give each blueprint one of its own.
    NamespaceUse = "D0018", Some((LOGIC, Some(214)));
    /// The properties of an import have the wrong shape.
    ///
    /// They are strings, numbers, booleans, lists or functions.
    ImportProperties = "D0019", Some((FORMAT, Some(220)));
    /// `tosca_definitions_version` is missing.
    ///
    /// Start the blueprint with it, for example `tosca_definitions_version: cloudify_dsl_1_3`.
    VersionMissing = "D0020", Some((LOGIC, Some(27)));
    /// `tosca_definitions_version` is not one that exists.
    ///
    /// It is one of `cloudify_dsl_1_0` to `cloudify_dsl_1_5`.
    VersionUnknown = "D0021", Some((LOGIC, Some(29)));
    /// A feature is newer than the version that the blueprint declares.
    ///
    /// Declare the version that the message names, or do without the feature.
    FeatureTooNew = "D0022", Some((LOGIC, Some(102)));
    /// The properties of an import do not fit what its plugins declare.
    ///
    /// The plugin's `properties` in the imported file say which there are, and of which types.
    ImportPropertyUnknown = "D0023", Some((LOGIC, Some(221)));
    /// A bundled catalog of another edition stands in for the one that is asked for.
    ///
    /// Types, defaults and operations can differ a little. Import the edition that is named to be
    /// exact.
    Catalog = "D0024", None;
    /// A node has a type that is not defined.
    ///
    /// Import the file that defines it, or mend the name.
    UnknownNodeType = "D0030", Some((LOGIC, Some(7)));
    /// A parent type or data type is not defined.
    ///
    /// Import the file that defines it, or mend the name.
    UnknownType = "D0031", Some((LOGIC, Some(103)));
    /// Definitions depend on each other in a circle.
    ///
    /// The message shows the circle. Types cannot derive from themselves, data types cannot contain
    /// themselves, nodes cannot depend on themselves by any chain of relationships.
    Cycle = "D0032", Some((LOGIC, Some(100)));
    /// A value does not match its declared type.
    ///
    /// YAML reads `yes` as a boolean, `22:22` as a number and `1e3` as text. Quote text.
    TypeMismatch = "D0033", Some((LOGIC, Some(105)));
    /// A property is given that the type does not declare.
    ///
    /// Mend the name, or declare the property in the type.
    UndefinedProperty = "D0034", Some((LOGIC, Some(106)));
    /// A required property or operation input has no value.
    ///
    /// Give it, or declare a default or `required: false`. A type that redeclares a property
    /// without its default loses the default.
    MissingProperty = "D0035", Some((LOGIC, Some(107)));
    /// A data type has the name of a primitive type.
    ///
    /// Rename it.
    PrimitiveRedefined = "D0036", Some((LOGIC, Some(104)));
    /// The value given for an input does not match its declared type.
    ///
    /// `-i name=text` converts to numbers and booleans where these are declared; `-i name:=YAML`
    /// gives anything else.
    InputType = "D0037", Some((BASE, Some(214)));
    /// An operation names no plugin and no script.
    ///
    /// It is `plugin.module.function` with a plugin that is declared, or the path of a file beside
    /// the blueprint.
    UnknownImplementation = "D0040", Some((LOGIC, Some(10)));
    /// A relationship operation names no plugin and no script.
    ///
    /// It is `plugin.module.function` with a plugin that is declared, or the path of a file beside
    /// the blueprint.
    UnknownRelationshipImplementation = "D0041", Some((LOGIC, Some(19)));
    /// An operation fits several plugins.
    ///
    /// Rename one of the plugins: none may be the start of another.
    AmbiguousImplementation = "D0042", Some((LOGIC, Some(91)));
    /// A plugin's executor is not one that exists.
    ///
    /// It is `central_deployment_agent` or `host_agent`.
    Executor = "D0043", Some((LOGIC, Some(18)));
    /// A plugin that is to be installed has neither source nor package.
    ///
    /// Give `source` or `package_name`, or say `install: false`.
    PluginSource = "D0044", Some((LOGIC, Some(50)));
    /// An operation's executor is not one that exists.
    ///
    /// It is `central_deployment_agent` or `host_agent`.
    OperationExecutor = "D0045", Some((LOGIC, Some(28)));
    /// The path or text of a script is given twice.
    ///
    /// `script_path` and `script_source` come from the implementation; remove the input.
    ScriptInput = "D0046", Some((LOGIC, Some(60)));
    /// An operation is a script, and no script plugin is declared.
    ///
    /// Import a file that declares one, such as the basic types, or declare a plugin whose name
    /// ends in `script`.
    NoScriptPlugin = "D0047", Some((LOGIC, Some(61)));
    /// A workflow names no plugin and no script.
    ///
    /// It is `plugin.module.function` with a plugin that is declared, or the path of a file beside
    /// the blueprint.
    UnknownWorkflow = "D0048", Some((LOGIC, Some(21)));
    /// A plugin that runs on a host is used by a node that is on none.
    ///
    /// Contain the node in a host, or use the executor `central_deployment_agent`. Plugins that
    /// dockctl itself provides need no host.
    NoHost = "D0049", Some((LOGIC, Some(24)));
    /// A relationship points to the node itself.
    ///
    /// Point it to another node.
    SelfRelationship = "D0050", Some((LOGIC, Some(23)));
    /// A relationship points to a node that is not defined.
    ///
    /// Mend the name, or define the node.
    UnknownTarget = "D0051", Some((LOGIC, Some(25)));
    /// A relationship has a type that is not defined.
    ///
    /// Import the file that defines it, or mend the name.
    UnknownRelationship = "D0052", Some((LOGIC, Some(26)));
    /// A node is contained in two others.
    ///
    /// Keep one `contained_in`; use `connected_to` or `depends_on` for the rest.
    SeveralContainers = "D0053", Some((LOGIC, Some(112)));
    /// `connection_type` is neither `all_to_all` nor `all_to_one`.
    ///
    /// The basic relationship types declare it with the default `all_to_all`.
    ConnectionType = "D0054", Some(("IllegalConnectedToConnectionType", None));
    /// A relationship is derived from none of the three base types.
    ///
    /// Derive it from `cloudify.relationships.depends_on`, `connected_to` or `contained_in`.
    UnsupportedRelationship = "D0055", Some(("UnsupportedRelationship", None));
    /// A dependency on a lifecycle operation does not say which.
    ///
    /// Give the property `operation`.
    LifecycleOperation = "D0056", Some((LOGIC, Some(215)));
    /// A dependency on a lifecycle operation names one that the target's template does not write.
    ///
    /// Write the operation in the target template's own `cloudify.interfaces.lifecycle`.
    LifecycleTarget = "D0057", Some((LOGIC, Some(216)));
    /// An `all_to_one` relationship joins two members of one scaling group.
    ///
    /// Use `all_to_all`: inside a group it joins the members of the same group instance.
    AllToOneInGroup = "D0058", Some(("UnsupportedAllToOneInGroup", None));
    /// An `all_to_one` relationship already goes to several instances.
    ///
    /// The instances that there are contradict the relationship.
    AllToOneState = "D0059", Some(("IllegalAllToOneState", None));
    /// Numbers of instances do not fit together.
    ///
    /// `min_instances` ≤ `default_instances` ≤ `max_instances`, none below 0, and `max_instances`
    /// at least 1.
    InstanceNumbers = "D0060", Some((LOGIC, Some(207)));
    /// Both `instances.deploy` and `capabilities.scalable` are given.
    ///
    /// Keep `capabilities.scalable`.
    TwoScalings = "D0061", Some((LOGIC, Some(209)));
    /// `use_external_resource` is computed by a function.
    ///
    /// Write true or false: it decides which properties are required.
    ExternalByFunction = "D0062", Some((LOGIC, Some(219)));
    /// A number of instances is text.
    ///
    /// It is a whole number; `max_instances` can be UNBOUNDED.
    InstanceLiteral = "D0063", Some((LOGIC, Some(208)));
    /// A number of instances is a mapping that is no function.
    ///
    /// It is a whole number or a function such as `{get_input: count}`.
    InstanceFunction = "D0064", Some((LOGIC, Some(210)));
    /// A group has a member that is neither a node nor a group.
    ///
    /// Mend the name, or define the node.
    GroupMember = "D0065", Some((LOGIC, Some(40)));
    /// A policy of a group has a type that is not defined.
    ///
    /// Define it under `policy_types`.
    PolicyType = "D0066", Some((LOGIC, Some(41)));
    /// A policy of a group has a trigger that is not defined.
    ///
    /// Define it under `policy_triggers`.
    PolicyTrigger = "D0067", Some((LOGIC, Some(42)));
    /// A group has the name of a node.
    ///
    /// Rename one of them.
    GroupName = "D0068", Some((LOGIC, Some(211)));
    /// A function is given arguments of the wrong shape.
    ///
    /// The message says what the function takes.
    FunctionArguments = "D0070", Some(("ValueError", None));
    /// A function names an input that is not declared.
    ///
    /// Declare it under `inputs`, or mend the name.
    UnknownInput = "D0071", Some(("UnknownInputError", None));
    /// A function names a node that is not defined.
    ///
    /// Mend the name, or define the node.
    UnknownFunctionNode = "D0072", Some(("KeyError", None));
    /// A function finds nothing.
    ///
    /// The property, key or index that it names is not there.
    FunctionEvaluation = "D0073", Some(("FunctionEvaluationError", None));
    /// Functions refer to each other in a circle, or stand too deep inside of each other.
    ///
    /// The message shows the circle. Give one of them a plain value.
    FunctionCycle = "D0074", Some(("EvaluationRecursionLimitReached", None));
    /// A function cannot be called like this.
    ///
    /// The message says what the function takes, or since which version it exists.
    FunctionValidation = "D0075", Some(("FunctionValidationError", None));
    /// `get_input` finds nothing in the value of the input, or a value of the wrong type.
    ///
    /// The key or index that it names is not there.
    InputEvaluation = "D0076", Some(("InputEvaluationError", None));
    /// `string_split` is asked for a part that is not there.
    ///
    /// The text has fewer parts. Negative numbers count from the end.
    SplitIndex = "D0077", Some(("IndexError", None));
    /// SELF, SOURCE or TARGET is used where there is none.
    ///
    /// SELF stands in nodes, SOURCE and TARGET in the operations of relationships.
    FunctionScope = "D0078", Some(("ValueError", None));
    /// `get_sys` knows no such entity.
    ///
    /// It knows `tenant` and `deployment`.
    SysEntity = "D0079", Some(("UnknownSysEntityError", None));
    /// A required input was not given.
    ///
    /// Give it with `-i name=value`, declare a default, or `required: false`. `default: null` is no
    /// default.
    MissingInput = "D0080", Some(("MissingRequiredInputError", None));
    /// An input was given that the blueprint does not declare.
    ///
    /// Mend the name, or declare it under `inputs`.
    UndeclaredInput = "D0081", Some(("UnknownInputError", None));
    /// A value breaks a constraint of its input.
    ///
    /// The message names the constraint and the value.
    Constraint = "D0082", Some(("ConstraintException", None));
    /// A constraint is given an argument that it does not take.
    ///
    /// Comparisons and lengths take numbers, `in_range` two of them, `valid_values` a list,
    /// `pattern` a regular expression.
    ConstraintArgument = "D0083", Some((LOGIC, Some(212)));
    /// A constraint names no operator, or one that does not exist.
    ///
    /// The message lists the operators.
    ConstraintOperator = "D0084", Some((LOGIC, Some(103)));
    /// A function is the value of an input that has constraints.
    ///
    /// The constraints could not be checked. Give a plain value.
    ConstraintFunction = "D0085", Some((BASE, Some(213)));
    /// An input is hidden and required, and has no default.
    ///
    /// Nobody could give it. Declare a default or `required: false`.
    HiddenRequired = "D0086", Some((LOGIC, Some(215)));
    /// An input that is no `textarea` has a `display`.
    ///
    /// Remove it, or declare `type: textarea`.
    Display = "D0087", Some(("DSLParsingInputTypeException", Some(216)));
    /// `item_type` is no primitive type.
    ///
    /// Items of lists are of primitive types.
    ItemType = "D0088", Some((LOGIC, Some(217)));
    /// An input with `item_type` is no list.
    ///
    /// Declare `type: list`.
    ItemTypeOfNoList = "D0089", Some((LOGIC, Some(218)));
    /// Scaling groups contain each other in a circle.
    ///
    /// The message shows the circle.
    GroupCycle = "D0090", Some((LOGIC, Some(200)));
    /// A node or group is a member of two scaling groups.
    ///
    /// Put one of the groups into the other.
    MemberOfTwo = "D0091", Some((LOGIC, Some(201)));
    /// Members of a scaling group live in different containers.
    ///
    /// All members are uncontained, or contained in each other, or in a common container.
    GroupContainment = "D0092", Some((LOGIC, Some(202)));
    /// A policy has a type that does not exist.
    ///
    /// `cloudify.policies.scaling` is the only one.
    ScalingPolicy = "D0093", Some((LOGIC, Some(204)));
    /// A scaling policy has a target that is no group.
    ///
    /// Targets are groups; put a node into a group to scale it.
    PolicyTarget = "D0094", Some((LOGIC, Some(205)));
    /// A scaling policy has no targets.
    ///
    /// Name at least one group.
    NoTargets = "D0095", Some((LOGIC, Some(206)));
    /// A label holds what it cannot hold.
    ///
    /// Values of labels are strings; those of `labels` can be functions, but not `get_attribute`.
    Label = "D0096", Some((BASE, Some(1)));
    /// A schedule cannot be read.
    ///
    /// Days are su, mo, tu, we, th, fr, sa; the parameters of its workflow cannot hold attributes.
    Schedule = "D0097", Some((BASE, Some(1)));
    /// A secret is not there.
    ///
    /// Give it as `DOCKCTL_SECRET_NAME`, in a file or in a folder of files: `--secrets PATH`.
    UnknownSecret = "D0098", Some(("UnknownSecretError", None));
    /// A rule for the availability of a workflow cannot be met by anything.
    ///
    /// `node_instances_active` is a list of all, partial and none.
    AvailabilityRule = "D0099", Some((LOGIC, Some(103)));
    /// The name of a container cannot be used.
    ///
    /// Names have characters of [a-zA-Z0-9_.-] and start with a letter or digit.
    ContainerName = "D0100", None;
    /// An argument in `params` is not one that the operation takes.
    ///
    /// `docs/blueprint.md` lists the arguments.
    UnknownArgument = "D0101", None;
    /// An argument in `params` has a value that cannot be converted for the engine.
    ///
    /// The message says what it can be.
    ArgumentValue = "D0102", None;
    /// A container node has no usable `image`.
    ///
    /// Give `repository`, or `src` with the path of a tarball.
    Image = "D0103", None;
    /// The file that `image.src` names is missing.
    ///
    /// It is looked for beside the blueprint.
    ImageFile = "D0104", None;
    /// An argument has no effect where it stands.
    ///
    /// Move it to the operation that the message names.
    NoEffect = "D0105", None;
    /// Two nodes ask for a container of the same name.
    ///
    /// Give one of them another name.
    SameContainer = "D0106", None;
    /// An operation belongs to a plugin that dockctl does not have.
    ///
    /// Install refuses it, unless `--skip-unsupported` is given.
    UnsupportedOperation = "D0110", None;
    /// The DSL allows this, but this version of dockctl does not carry it out.
    ///
    /// The message says what is left out.
    NotYet = "D0111", None;
    /// `get_sys` knows no such property.
    ///
    /// Of a tenant it knows `name`; of a deployment `id`, `name`, `blueprint` and `owner`.
    SysProperty = "D0112", Some(("UnknownSysPropertyError", None));
    /// A function is given the result of another that it cannot use.
    ///
    /// `merge` merges mappings only.
    FunctionResult = "D0113", Some(("ValueError", None));
    /// A time of a schedule cannot be read.
    ///
    /// `since` and `until` are 2030-01-31 23:59 or +2h; `recurrence` is 1d or 2 weeks; `timezone`
    /// is a name like Europe/Berlin.
    ScheduleTime = "D0114", Some(("NonRecoverableError", None));
    /// A function asks for an attribute of SELF, SOURCE or TARGET where only nodes can be named.
    ///
    /// Name the node whose attribute is meant.
    AttributeScope = "D0115", Some(("KeyError", None));
    /// A value is of a kind that cannot be worked with here.
    ///
    /// The message says what it must be: a whole number, a list, a name. A list or mapping cannot
    /// be a key: quote `"{{ name }}"`.
    WrongKind = "D0116", Some(("TypeError", None));
    /// A data type under a namespace is derived from one in the same file.
    ///
    /// The namespace is not put before the parent's name, so that there is no such type. Import the
    /// file without a namespace.
    NamespacedParent = "D0117", Some(("DSLParsingSchemaAPIException", Some(101)));
    /// A condition of `wait_for` can come true.
    ///
    /// A container without a health check is never healthy, one on no network has no port, one that
    /// is restarted never stays ended.
    ImpossibleWait = "D0118", None;
    /// A relationship to a network or a volume fits both sides.
    ///
    /// `attached_to_network` leads to a node that is a network, `mounts` to a volume with a
    /// `target`; the values of their properties are written as they are.
    Attachment = "D0119", None;
    /// `metadata.dockctl` says what dockctl understands.
    ///
    /// It has `protect` (nodes), `sensitive` (inputs) and `adopted` (nodes): lists of names that
    /// the blueprint has.
    Note = "D0120", None;
    /// What an operation reads of another node is there by then.
    ///
    /// The attribute belongs to a node that needs the reader, and is started after it: it would be
    /// null. Remove what makes that node need the reader, or read it in an operation that runs once
    /// both are started.
    EarlyAttribute = "D0121", None;
    /// A relationship puts a node first whose attributes another one reads.
    ///
    /// dockctl starts the node that is read first all the same. Elsewhere only relationships count:
    /// add one.
    UnorderedAttribute = "D0122", None;
    /// A node stands for an object of one system only.
    ///
    /// Its operations make objects of two of them: declare a node for each.
    TwoSystems = "D0123", None;
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
