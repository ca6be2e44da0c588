//! The stable codes of faults.

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

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $reference:expr;)+) => {
        /// Which rule is broken. A number, once given, never changes its meaning.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Code { $($(#[doc = $doc])+ $name,)+ }

        impl Code {
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

            /// Every code, in the order of the numbers.
            #[cfg(test)]
            const ALL: &[Self] = &[$(Self::$name,)+];
        }
    };
}

codes! {
    /// The file cannot be read.
    Unreadable = "D0001", Some((LOGIC, Some(30)));
    /// The text is not YAML.
    Syntax = "D0002", Some((FORMAT, Some(-1)));
    /// The text is YAML that has no meaning here: unknown tag, recursive alias, second document.
    Yaml = "D0003", Some((FORMAT, Some(-1)));
    /// A limit that protects against hostile input is exceeded.
    Limit = "D0004", None;
    /// A key is given twice in one mapping; the last one holds.
    DuplicateKey = "D0005", None;
    /// A value has the wrong shape, or a key is unknown or missing.
    Format = "D0010", Some((FORMAT, Some(1)));
    /// The same file is imported twice in one list.
    ImportTwice = "D0011", Some((FORMAT, Some(2)));
    /// A section cannot be merged across imports in this version of the DSL.
    MergeSection = "D0012", Some((LOGIC, Some(3)));
    /// Two files define the same name.
    MergeConflict = "D0013", Some((LOGIC, Some(4)));
    /// An import cannot be found.
    ImportNotFound = "D0014", Some((LOGIC, Some(13)));
    /// The imported file needs a newer version of the DSL than the main file declares.
    ImportVersion = "D0015", Some((LOGIC, Some(28)));
    /// `tosca_definitions_version` is missing.
    VersionMissing = "D0020", Some((LOGIC, Some(27)));
    /// `tosca_definitions_version` is not one that exists.
    VersionUnknown = "D0021", Some((LOGIC, Some(29)));
    /// A node has a type that is not defined.
    UnknownNodeType = "D0030", Some((LOGIC, Some(7)));
    /// A parent type, data type or similar is not defined.
    UnknownType = "D0031", Some((LOGIC, Some(103)));
    /// Definitions depend on each other in a circle.
    Cycle = "D0032", Some((LOGIC, Some(100)));
    /// A value does not match its declared type.
    TypeMismatch = "D0033", Some((LOGIC, Some(105)));
    /// A property is given that the type does not declare.
    UndefinedProperty = "D0034", Some((LOGIC, Some(106)));
    /// A required property or operation input has no value.
    MissingProperty = "D0035", Some((LOGIC, Some(107)));
    /// An operation names no plugin and no script.
    UnknownImplementation = "D0040", Some((LOGIC, Some(10)));
    /// A relationship operation names no plugin and no script.
    UnknownRelationshipImplementation = "D0041", Some((LOGIC, Some(19)));
    /// An operation fits several plugins.
    AmbiguousImplementation = "D0042", Some((LOGIC, Some(91)));
    /// A plugin's or an operation's executor is not one that exists.
    Executor = "D0043", Some((LOGIC, Some(18)));
    /// A plugin that is to be installed has no source.
    PluginSource = "D0044", Some((LOGIC, Some(50)));
    /// A relationship points to the node itself.
    SelfRelationship = "D0050", Some((LOGIC, Some(23)));
    /// A relationship points to a node that is not defined.
    UnknownTarget = "D0051", Some((LOGIC, Some(25)));
    /// A relationship has a type that is not defined.
    UnknownRelationship = "D0052", Some((LOGIC, Some(26)));
    /// A node is contained in two others.
    SeveralContainers = "D0053", Some((LOGIC, Some(112)));
    /// `connection_type` is neither `all_to_all` nor `all_to_one`.
    ConnectionType = "D0054", Some(("IllegalConnectedToConnectionType", None));
    /// A relationship is derived from none of the three base types.
    UnsupportedRelationship = "D0055", Some(("UnsupportedRelationship", None));
    /// Numbers of instances do not fit together.
    InstanceNumbers = "D0060", Some((LOGIC, Some(207)));
    /// Both `instances.deploy` and `capabilities.scalable` are given.
    TwoScalings = "D0061", Some((LOGIC, Some(209)));
    /// `use_external_resource` is computed by a function.
    ExternalByFunction = "D0062", Some((LOGIC, Some(219)));
    /// A function is given arguments of the wrong shape.
    FunctionArguments = "D0070", Some(("ValueError", None));
    /// A function names an input that is not declared.
    UnknownInput = "D0071", Some(("UnknownInputError", None));
    /// A function names a node that is not defined.
    UnknownFunctionNode = "D0072", Some(("KeyError", None));
    /// A function cannot be evaluated.
    FunctionEvaluation = "D0073", Some(("FunctionEvaluationError", None));
    /// Functions refer to each other in a circle.
    FunctionCycle = "D0074", Some(("EvaluationRecursionLimitReached", None));
    /// An input without a default was not given.
    MissingInput = "D0080", Some(("MissingRequiredInputError", None));
    /// An input was given that the blueprint does not declare.
    UndeclaredInput = "D0081", Some(("UnknownInputError", None));
    /// The name of a container cannot be used.
    ContainerName = "D0100", None;
    /// An argument in `params` is not one that the operation takes.
    UnknownArgument = "D0101", None;
    /// An argument in `params` has a value that cannot be converted for the engine.
    ArgumentValue = "D0102", None;
    /// A container node has no usable `image`.
    Image = "D0103", None;
    /// The file that `image.src` names is missing.
    ImageFile = "D0104", None;
    /// An argument has no effect where it stands.
    NoEffect = "D0105", None;
    /// Two nodes ask for a container of the same name.
    SameContainer = "D0106", None;
    /// An operation belongs to a plugin that dockctl does not have.
    UnsupportedOperation = "D0110", None;
    /// The DSL allows this, but this version of dockctl does not carry it out.
    NotYet = "D0111", None;
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn numbers_are_unique_and_ascending() {
        let numbers: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    }
}
