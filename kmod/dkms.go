package kmod

import (
	"fmt"
	"maps"
	"strings"
)

// DKMSName is what dkms(8) knows the modules by, as a package of one version.
const DKMSName = "amp-connector"

// DKMSVersion is the version of the modules for dkms, of one of the product.
func DKMSVersion(product string) string { return strings.TrimPrefix(product, "v") }

// DKMSFolder is where dkms looks for the source of a version of the product.
func DKMSFolder(product string) string { return "/usr/src/" + DKMSName + "-" + DKMSVersion(product) }

// DKMSTree is what is in that folder, by name: the very files that modules are built of here, and what tells dkms how.
func DKMSTree(product string) map[string][]byte {
	tree := map[string][]byte{"dkms.conf": dkmsConf(product)}
	maps.Copy(tree, sources)
	return tree
}

// dkmsConf is the dkms.conf of a version: shell, which dkms reads. The folder that is built in is a copy of its own, so that there is nothing to clean: "true"
// is what dkms since 3.1.8 takes without a word, where CLEAN is deprecated, and what keeps an older one from trying. A module that was built for one kernel
// is not to be linked to others (weak-modules of Enterprise Linux): it reads structures that no kernel promises to keep.
func dkmsConf(product string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `# The kernel modules of the AMP connector, for hosts whose administrator has DKMS build them: dkms install %[1]s/%[2]s
# Without that, the connector builds them itself where its policy wants modules (amp-install(8)).
PACKAGE_NAME="%[1]s"
PACKAGE_VERSION="%[2]s"
`, DKMSName, DKMSVersion(product))
	for i, m := range modules {
		fmt.Fprintf(&b, "BUILT_MODULE_NAME[%[1]d]=\"%[2]s\"\nDEST_MODULE_LOCATION[%[1]d]=\"/updates/dkms\"\n", i, m.name)
	}
	b.WriteString(`MAKE[0]="make -C ${kernel_source_dir} M=${dkms_tree}/${PACKAGE_NAME}/${PACKAGE_VERSION}/build modules"
CLEAN="true"
AUTOINSTALL="yes"
NO_WEAK_MODULES="yes"
`)
	return []byte(b.String())
}
