//! Every reason of each condition.

use super::{ConditionType, Reason, Status};

/// Declares the reasons of each condition as constants in a module of its own, and [`REASONS`] as
/// all of them: none can be left out.
macro_rules! reasons {
    ($($(#[$about:meta])* mod $module:ident: $condition:ident { $($constant:ident = $status:ident $name:literal: $meaning:literal, $remedy:literal;)+ })+) => {
        $(
            $(#[$about])*
            pub mod $module {
                use super::{ConditionType, Reason, Status};
                $(
                    #[doc = $meaning]
                    #[doc = ""]
                    #[doc = $remedy]
                    pub const $constant: Reason = Reason {
                        condition: ConditionType::$condition,
                        status: Status::$status,
                        name: $name,
                        meaning: $meaning,
                        remedy: $remedy,
                    };
                )+
            }
        )+
        /// Every reason, in the order of the conditions.
        pub const REASONS: &[Reason] = &[$($($module::$constant,)+)+];
    };
}

reasons! {
    /// Reasons of Ready. When it is False, the message repeats that of the condition that stands in
    /// the way.
    mod ready: Ready {
        READY = True "Ready":
            "SPIRE's server and agents run with the plugins, and Keylime answers.",
            "Nothing.";
        NOT_APPLIED = False "NotApplied":
            "The configuration could not be applied.",
            "See ConfigurationApplied.";
        CONFIGURATIONS_WRITTEN = True "ConfigurationsWritten":
            "With mode ConfigOnly the configurations are written, and Keylime answers. Whether SPIRE runs with them is not known here.",
            "Mount them, the plugins and the Secrets yourself; `spec.enforcement` has SPIRE's server report which agents it has.";
        PARENT_IDS_NOT_CONFIGURED = False "ParentIDsNotConfigured":
            "SPIRE is set up, but workloads on nodes that attest by Keylime get no SVIDs: spire-controller-manager gives their entries another parent.",
            "See ParentIDsConfigured.";
        SUSPENDED = Unknown "Suspended":
            "`spec.suspend` is true: the operator leaves everything as it is, and does not follow it.",
            "Set `spec.suspend` to false, or leave it out.";
        ROLLING_OUT = False "RollingOut":
            "SPIRE's pods are being replaced, the server first, then the agents.",
            "Wait; `status.server.rollout` and `status.agents` show how far it is.";
        WAITING_FOR_KEYLIME = False "WaitingForKeylime":
            "Nothing is being replaced: Keylime would refuse nodes whose agents are to change.",
            "See AgentsRolledOut, which names them and says what to do.";
        ARCHITECTURE_UNKNOWN = False "ArchitectureUnknown":
            "Nothing is being replaced: agents that are to change run on nodes for whose architecture there is no plugin.",
            "See AgentsRolledOut, which names them and says what to do.";
        PODS_NOT_READY = False "PodsNotReady":
            "SPIRE's server runs with the plugin, but a pod of it is not ready.",
            "See the log of the pod that ServerRolledOut is about.";
        ROLLOUT_FAILED = False "RolloutFailed":
            "Pods did not become ready.",
            "See Degraded for what is wrong with the pods.";
        KEYLIME_UNREACHABLE = False "KeylimeUnreachable":
            "SPIRE is set up, but Keylime gives no answers, so that nodes cannot attest.",
            "See KeylimeReachable.";
        WITHDRAWING = False "Withdrawing":
            "The resource is being deleted, and SPIRE gets back what it had.",
            "Wait; the resource is gone when it is done.";
    }

    /// Reasons of ConfigurationApplied.
    mod configuration_applied: ConfigurationApplied {
        APPLIED = True "Applied":
            "The configurations hold our node attestor, and the workloads carry what the plugins need.",
            "Nothing.";
        SUSPENDED = Unknown "Suspended":
            "`spec.suspend` is true: nothing is written. The other conditions are as they were before.",
            "Set `spec.suspend` to false, or leave it out; `keylime-attestor-operator check` shows what that would change.";
        SPEC_INVALID = False "SpecInvalid":
            "A field has a value that the schema allows and the plugins would refuse.",
            "Correct the field that the message names.";
        NAMESPACE_NOT_MANAGED = False "NamespaceNotManaged":
            "The resource, or a workload that it names, is in a namespace in which the operator does not act.",
            "Move it, or have who installed the operator add the namespace to the chart's `namespaces`.";
        WORKLOAD_NOT_FOUND = False "WorkloadNotFound":
            "A workload of SPIRE is not there: it is not installed yet, was removed, or is called otherwise.",
            "Install SPIRE, or correct the name or namespace in `spec.spire`. The operator goes on by itself.";
        WORKLOAD_CLAIMED = False "WorkloadClaimed":
            "Another KeylimeAttestor has the workload: one in the workload's own namespace, or else the older one.",
            "Delete one of the two.";
        CONTAINER_NOT_FOUND = False "ContainerNotFound":
            "The container that runs SPIRE or spire-controller-manager is not there, or cannot be told from the others.",
            "Set `container` of the workload in `spec.spire`, or of `spec.spire.controllerManager`, to one of the names in the message.";
        COMMAND_SET = False "CommandSet":
            "The workload sets `command` of SPIRE's container itself, which Overlay would have to change.",
            "Remove `command` and give SPIRE's flags as `args`, or choose mode InPlace.";
        CONFIGURATION_NOT_FOUND = False "ConfigurationNotFound":
            "No ConfigMap is mounted where the configuration file lies, or the ConfigMap or its key is missing.",
            "Set `configMap` or `configPath` of the workload in `spec.spire`, or create what is missing.";
        CONFIGURATION_INVALID = False "ConfigurationInvalid":
            "SPIRE's configuration is neither JSON nor HCL, or its plugins section is not what SPIRE reads.",
            "Correct it at the line and column in the message. The pods keep the last good one.";
        CONFIGURATION_TOO_LARGE = False "ConfigurationTooLarge":
            "With our node attestor in it, the configuration no longer fits into a ConfigMap (1 MiB).",
            "Make SPIRE's configuration smaller.";
        CONFIG_MAP_NOT_OURS = False "ConfigMapNotOurs":
            "Where a derived ConfigMap is to be, there is one that was not made for this resource; it is left alone.",
            "Find out whose it is. One that an earlier KeylimeAttestor left behind can be deleted; else rename SPIRE's ConfigMap.";
        SECRET_NOT_FOUND = False "SecretNotFound":
            "A Secret that is to be mounted is not in the namespace of the pods that mount it.",
            "Create it, copy it, or have it issued in the namespace that the message names.";
        SECRET_FORBIDDEN = False "SecretForbidden":
            "The operator may not look for a Secret that is to be mounted. Were it missing, SPIRE's pods would wait for it and not start.",
            "Name it in the chart's `rbac.keylimeSecrets`, or make the Role that the message describes.";
        SECRET_INCOMPLETE = False "SecretIncomplete":
            "The Secret for Keylime lacks one of its keys, or certificate, key and CA are not usable PEM that belongs together.",
            "Correct the keys that the message names; `spec.keylime.tls.secretName` says which there must be.";
        BINDING_IMPOSSIBLE = False "BindingImpossible":
            "`spec.attestation.binding` asks for tokens, and SPIRE's server could not have them reviewed: no agent that sends one would be let in.",
            "See to what the message names, or leave the field out.";
        PLUGIN_IMAGE_UNKNOWN = False "PluginImageUnknown":
            "The operator cannot read the name of its own image from its pod.",
            "Let the operator get its own pod, or start it with `--plugin-image` (the chart's `plugin.image`).";
        ARCHITECTURE_UNKNOWN = False "ArchitectureUnknown":
            "A configuration names the checksum of the plugin for one architecture, and which one that is, is not told, or the operator's image has no plugin of it.",
            "Set `architecture` of the workload in `spec.spire` to one that the message names, or `kubernetes.io/arch` in its nodeSelector. With mode Overlay it need not be told.";
        FIELD_CONFLICT = False "FieldConflict":
            "A field that the plugins need has another value that somebody else applied.",
            "Remove that value, or let the manager that the message names do so.";
        REFUSED = False "Refused":
            "The apiserver refuses a change or a request to read: by an admission policy, a quota, or because the operator lacks the right.",
            "Read the apiserver's own message; for a missing right, add the namespace to the chart's values.";
        FIGHTING = False "Fighting":
            "Somebody keeps reverting what the operator applies, as OpenShift's SPIRE operator does with what it owns.",
            "Stop the other side, whose field manager the message names: OpenShift's operator by CREATE_ONLY_MODE, as operator/README.md says. Until then the operator tries less and less often.";
        WITHDRAWING = False "Withdrawing":
            "The resource is being deleted: our part is being taken out again, from the agents first, then from the server.",
            "Wait.";
    }

    /// Reasons of ServerRolledOut.
    mod server_rolled_out: ServerRolledOut {
        ROLLED_OUT = True "RolledOut":
            "All pods of SPIRE's server run with the plugin and are ready.",
            "Nothing.";
        NOT_MANAGED = Unknown "NotManaged":
            "With mode ConfigOnly the operator touches no workload, and does not know what its pods run with.",
            "Mount the derived ConfigMap, the plugin and the Secret yourself.";
        WAITING_FOR_CONFIGURATION = Unknown "WaitingForConfiguration":
            "The configuration has not been applied.",
            "See ConfigurationApplied.";
        PROGRESSING = False "Progressing":
            "Pods are being replaced.",
            "Wait.";
        PAUSED = False "Paused":
            "The workload's own settings hold the rollout: it is paused, has a partition, or its update strategy is OnDelete.",
            "Resume it, lower the partition, or delete the pods one by one.";
        PROGRESS_DEADLINE_EXCEEDED = False "ProgressDeadlineExceeded":
            "No further pod became ready within `spec.rollout.progressDeadline`, or none could be created.",
            "See Degraded. The agents are not touched.";
        PODS_NOT_READY = False "PodsNotReady":
            "All pods of SPIRE's server were ready with the plugin, and one is not any longer; nothing is rolled back for that.",
            "See the log of the pod that is not ready.";
        ROLLED_BACK = False "RolledBack":
            "The rollout failed, and the server got back what it had.",
            "See Degraded. It is tried again when the resource, SPIRE's configuration, the plugin or a Secret changes, and by itself when Keylime or the cluster was the cause.";
        WITHDRAWING = False "Withdrawing":
            "The resource is being deleted, and the server's pods get back what they had.",
            "Wait.";
    }

    /// Reasons of AgentsRolledOut.
    mod agents_rolled_out: AgentsRolledOut {
        ROLLED_OUT = True "RolledOut":
            "All pods of SPIRE's agents run with the plugin and are ready.",
            "Nothing.";
        NOT_MANAGED = Unknown "NotManaged":
            "With mode ConfigOnly the operator touches no workload, and does not know what its pods run with.",
            "Mount the derived ConfigMap, the plugin and the Secret yourself.";
        WAITING_FOR_CONFIGURATION = Unknown "WaitingForConfiguration":
            "The configuration has not been applied.",
            "See ConfigurationApplied.";
        WAITING_FOR_SERVER = False "WaitingForServer":
            "The agents are changed only when SPIRE's server is rolled out: no agent could attest before.",
            "See ServerRolledOut.";
        PROGRESSING = False "Progressing":
            "Pods are being replaced.",
            "Wait.";
        ENROLLED_ROLLED_OUT = True "EnrolledRolledOut":
            "All nodes that Keylime knows run with the plugin; those that it does not know stay on their old attestor (`spec.rollout.batchSize`).",
            "Nothing, or enrol the nodes that the message names: they are then moved, too.";
        MOVING_IN_BATCHES = False "MovingInBatches":
            "Agents move in batches: the nodes of one have to be ready and attested before the next begins (`spec.rollout.batchSize`).",
            "Wait; the message names the nodes of the batch.";
        WAITING_FOR_KEYLIME = False "WaitingForKeylime":
            "Keylime would refuse nodes whose agents are to change: they are changed when it passes them.",
            "See the AttestedNodes that the message names. Enrol or mend those nodes, keep SPIRE's agents off them (the DaemonSet's nodeSelector), move only the others (`spec.rollout.batchSize`), or let them lose their agents (`spec.rollout.unattestable: Proceed`).";
        ARCHITECTURE_UNKNOWN = False "ArchitectureUnknown":
            "Agents that are to change run on nodes of an architecture for which the operator's image has no plugin, or another than their workload was told to have: they could not start there.",
            "Install an image that has it (the message names what there is), correct `architecture` of the workload in `spec.spire`, keep SPIRE's agents off those nodes (the DaemonSet's nodeSelector), or move only the others (`spec.rollout.batchSize`).";
        PAUSED = False "Paused":
            "A DaemonSet's update strategy is OnDelete.",
            "Delete the agents' pods, node by node.";
        PROGRESS_DEADLINE_EXCEEDED = False "ProgressDeadlineExceeded":
            "No further pod became ready within `spec.rollout.progressDeadline`, or none could be created.",
            "See Degraded; often a node that Keylime does not know or does not pass.";
        PODS_NOT_READY = True "PodsNotReady":
            "All agents run with the plugin. Some are not ready now, which is about their nodes; nothing is rolled back for that.",
            "See NodesAttested, and the logs of the pods that are not ready.";
        ROLLED_BACK = False "RolledBack":
            "The rollout failed, and the agents got back what they had.",
            "See Degraded. It is tried again when the resource, SPIRE's configuration, the plugin or a Secret changes, and by itself when Keylime or the cluster was the cause.";
        WITHDRAWING = False "Withdrawing":
            "The resource is being deleted, and the agents' pods get back what they had.",
            "Wait.";
    }

    /// Reasons of KeylimeReachable.
    mod keylime_reachable: KeylimeReachable {
        REACHABLE = True "Reachable":
            "Verifier and registrar answer with what was expected.",
            "Nothing.";
        NOT_CHECKED = Unknown "NotChecked":
            "The Secret for Keylime cannot be used, so that nobody was asked.",
            "See ConfigurationApplied.";
        UNREACHABLE = False "Unreachable":
            "No connection, or no answer in time.",
            "Check host and port in `spec.keylime`, and network policies between the operator and Keylime.";
        TLS_FAILED = False "TlsFailed":
            "The server's certificate is not of the Secret's CA or has another name, or the server refuses ours.",
            "Check the Secret; set `spec.keylime.tls.serverName` to a name in the server's certificate.";
        UNEXPECTED_ANSWER = False "UnexpectedAnswer":
            "What answers is not Keylime, refuses the request, or speaks no version that is known here.",
            "Check the ports (verifier 8881, registrar 8891) and Keylime's version.";
    }

    /// Reasons of NodesAttested.
    mod nodes_attested: NodesAttested {
        ATTESTED = True "Attested":
            "Every node that the resource selects is attested.",
            "Nothing.";
        NODES_FAILING = False "NodesFailing":
            "Keylime fails nodes: they are no longer what they were, or have not been heard of for too long.",
            "See the nodes in the message, in `status.nodes.notAttested`, and in `kubectl get attestednodes`.";
        NODES_NOT_ATTESTED = False "NodesNotAttested":
            "No node fails, but some are not enrolled at Keylime, not decided about yet, without identity in SPIRE, or it is not clear which agent is theirs.",
            "See the nodes in the message, in `status.nodes.notAttested`, and in `kubectl get attestednodes`.";
        NODES_UNKNOWN = Unknown "NodesUnknown":
            "No node is known to fail, but the verifier of some gives no answer, or nobody tells whether SPIRE has them.",
            "See the nodes in the message, in `status.nodes.notAttested`, and KeylimeReachable.";
        NO_NODES = Unknown "NoNodes":
            "The resource selects no node.",
            "Correct `spec.nodes.selector`.";
        NOT_CHECKED = Unknown "NotChecked":
            "The nodes have not been polled yet, or nobody can be asked about them.",
            "See KeylimeReachable.";
        WITHDRAWING = Unknown "Withdrawing":
            "The resource is being deleted, and the nodes are no longer polled.",
            "Wait.";
    }

    /// Reasons of Enforcing.
    mod enforcing: Enforcing {
        ENFORCING = True "Enforcing":
            "SPIRE's server evicts or bans the agents of nodes that Keylime no longer passes.",
            "Nothing.";
        OBSERVING = False "Observing":
            "Nothing is done about agents whose node Keylime no longer passes; they keep their identities until these expire. SPIRE's server reports what it has.",
            "Set `spec.enforcement.action` to Evict or Ban if you want it.";
        NOT_CONFIGURED = False "NotConfigured":
            "Nothing is done about agents whose node Keylime no longer passes; they keep their identities until these expire. Nothing is known of what SPIRE has.",
            "Set `spec.enforcement: {}` to see what SPIRE has, with an action of Evict or Ban to act on it.";
        HELD = False "Held":
            "More agents fail at once than `spec.enforcement.maxUnhealthy` allows, so that none of them is touched.",
            "Find out whether the nodes or a policy at the verifier are wrong. Correct it there, or raise maxUnhealthy.";
        FAILED = False "Failed":
            "The plugin in SPIRE's server could not ask the verifiers or SPIRE itself.",
            "See the message, and the log of SPIRE's server. Nobody is evicted meanwhile.";
        NOT_OBSERVED = Unknown "NotObserved":
            "No pod of SPIRE's server reports what it does.",
            "Wait for ServerRolledOut; then check network policies between the operator and `spec.enforcement.reportPort` of SPIRE's server pods.";
        WITHDRAWING = Unknown "Withdrawing":
            "The resource is being deleted.",
            "Wait.";
    }

    /// Reasons of ParentIDsConfigured. Ready depends on it where it is False: who else makes
    /// entries, the operator does not know.
    mod parent_ids_configured: ParentIdsConfigured {
        OVERLAID = True "Overlaid":
            "spire-controller-manager runs with a parentIDTemplate that gives workloads the agent which Keylime attested as parent.",
            "Nothing.";
        ALIASED = True "Aliased":
            "spire-controller-manager gives workloads the alias of their Node as parent, a SPIFFE ID that the SPIRE agent of the Node has by whichever attestor it came: until it attests by Keylime by the former one, from then on by Keylime alone.",
            "Nothing.";
        TEMPLATE_SET = True "TemplateSet":
            "The parentIDTemplate of spire-controller-manager knows of Keylime already.",
            "Nothing.";
        NOT_MANAGED = Unknown "NotManaged":
            "The configuration of spire-controller-manager is made, and with mode ConfigOnly the operator touches no workload.",
            "Start spire-controller-manager with the derived configuration yourself.";
        TEMPLATE_UNCLEAR = Unknown "TemplateUnclear":
            "The parentIDTemplate of spire-controller-manager, which is left alone, names no agents but something else, such as node aliases.",
            "See to it that these take in the agents that attest by Keylime.";
        TEMPLATE_MISSING = False "TemplateMissing":
            "spire-controller-manager gives workloads a parent that knows nothing of Keylime: on nodes that attest by Keylime they get no SVIDs.",
            "Set `spec.spire.controllerManager.mode` to Auto, or write the template of the message into the configuration that it names.";
        ROLLING_OUT = False "RollingOut":
            "The pod that runs spire-controller-manager is being replaced.",
            "See ServerRolledOut.";
        NO_CONTROLLER_MANAGER = Unknown "NoControllerManager":
            "No spire-controller-manager was found in the pod of SPIRE's server.",
            "Whoever makes the entries has to give them the agents of Keylime as parents; operator/README.md says which.";
        WAITING_FOR_CONFIGURATION = Unknown "WaitingForConfiguration":
            "The configuration has not been applied.",
            "See ConfigurationApplied.";
        WITHDRAWING = False "Withdrawing":
            "The resource is being deleted, and spire-controller-manager gets back what it had.",
            "Wait.";
    }

    /// Reasons of BindingRequired. Ready does not depend on it.
    mod binding_required: BindingRequired {
        REQUIRED = True "Required":
            "Each attestation proves its Node, by the token of the SPIRE agent's own pod, beside the quote of the Node's TPM.",
            "Nothing.";
        ROLLING_OUT = False "RollingOut":
            "Tokens are being brought to the agents' pods, or SPIRE's server is being told to demand them. Until then an agent without one is let in, whose Node is not proven.",
            "Wait; see ServerRolledOut and AgentsRolledOut.";
        PREFERRED = False "Preferred":
            "`spec.attestation.binding` is Prefer: an agent without a token is let in, whose Node is not proven.",
            "When every agent has its token, leave the field out or set it to Require.";
        TURNED_OFF = False "TurnedOff":
            "`spec.attestation.binding` is Off: an attestation proves a TPM, and not on which Node the SPIRE agent runs.",
            "Leave the field out, so that it is turned on where it can be.";
        NO_REVIEW_POSSIBLE = False "NoReviewPossible":
            "SPIRE's server could not have tokens reviewed, so that none are asked for: an attestation proves a TPM, and not on which Node the SPIRE agent runs.",
            "Give the account of SPIRE's server the rights that the message names (the chart's `rbac.spireServers`). It is turned on by itself then.";
        NOT_MANAGED = False "NotManaged":
            "With mode ConfigOnly the operator mounts no token, and has none asked for: an attestation proves a TPM, and not on which Node the SPIRE agent runs.",
            "Mount the tokens as operator/README.md says, and set `spec.attestation.binding`.";
        NOT_APPLIED = Unknown "NotApplied":
            "The configuration has not been applied.",
            "See ConfigurationApplied.";
        WITHDRAWING = Unknown "Withdrawing":
            "The resource is being deleted, and SPIRE gets back what it had.",
            "Wait.";
    }

    /// Reasons of BypassPossible. Ready does not depend on it.
    mod bypass_possible: BypassPossible {
        OTHER_ATTESTORS = True "OtherAttestors":
            "SPIRE's server admits nodes by other attestors as well: a node that Keylime fails may attest by one of them, and get what is registered for such agents.",
            "When every node attests by Keylime, set `spec.spire.attestors` to Exclusive, or take these attestors out of SPIRE's own configuration of the server.";
        WAITING = True "Waiting":
            "`spec.spire.attestors` is Exclusive, and SPIRE's server still admits nodes by other attestors.",
            "See to what the message says it waits for; the other attestors go by themselves then.";
        KEYLIME_ALONE = False "KeylimeAlone":
            "SPIRE's server admits nodes by Keylime alone.",
            "Nothing.";
        ROLLING_OUT = Unknown "RollingOut":
            "In the server's configuration Keylime is alone, but not all of the server's pods run with it.",
            "See ServerRolledOut.";
        NOT_MANAGED = Unknown "NotManaged":
            "In the derived configuration of the server Keylime is alone, and with mode ConfigOnly the operator does not know whether the server runs with it.",
            "Start SPIRE's server with the derived configuration yourself.";
        NOT_APPLIED = Unknown "NotApplied":
            "The configuration has not been applied.",
            "See ConfigurationApplied.";
        WITHDRAWING = Unknown "Withdrawing":
            "The resource is being deleted, and SPIRE gets back what it had.",
            "Wait.";
    }

    /// Reasons of CertificateValid. Ready does not depend on it.
    mod certificate_valid: CertificateValid {
        VALID = True "Valid":
            "The client certificate for Keylime, in the Secret beside SPIRE's server, counts for more than 30 days.",
            "Nothing.";
        ENDS_SOON = False "EndsSoon":
            "The client certificate for Keylime, in the Secret beside SPIRE's server, ends within 30 days. From then on no node can attest.",
            "Issue it anew, as by `keylime-attestor-operator credentials`, and replace it in the Secret: SPIRE's server and the operator take it without a restart.";
        ENDED = False "Ended":
            "The client certificate for Keylime, in the Secret beside SPIRE's server, has ended: Keylime's servers do not take it, and no node can attest.",
            "Issue it anew, as by `keylime-attestor-operator credentials`, and replace it in the Secret: SPIRE's server and the operator take it without a restart.";
        NOT_YET = False "NotYetValid":
            "The client certificate for Keylime, in the Secret beside SPIRE's server, counts from a later time on.",
            "Set the clocks right, or issue another one.";
        NOT_CHECKED = Unknown "NotChecked":
            "The Secret for Keylime has no certificate that can be read, or is not there.",
            "See ConfigurationApplied.";
        WITHDRAWING = Unknown "Withdrawing":
            "The resource is being deleted.",
            "Wait.";
    }

    /// Reasons of Degraded.
    mod degraded: Degraded {
        AS_EXPECTED = False "AsExpected":
            "Nothing is wrong that would need somebody.",
            "Nothing.";
        ROLLOUT_FAILED = True "RolloutFailed":
            "A rollout failed. It is rolled back, unless `spec.rollout.rollback` is false.",
            "Correct what the message says last.";
        ROLLED_BACK = True "RolledBack":
            "A rollout failed and was rolled back.",
            "Correct what the message says last; a change of the resource, of SPIRE's configuration or of a Secret tries again. What Keylime or the cluster was the cause of is tried again by itself, with growing pauses.";
        FIGHTING = True "Fighting":
            "Somebody keeps reverting what the operator applies.",
            "See ConfigurationApplied.";
        WITHDRAWAL_STUCK = True "WithdrawalStuck":
            "The resource is being deleted, but SPIRE's pods do not become ready with what they had.",
            "Correct what the pod's message says. To let the resource go as it is, remove its finalizer.";
    }
}
