package host

import (
	"bufio"
	"os"
	"strings"
	"testing"
)

// recordedDistributions are the distributions of the recorded listings.
var recordedDistributions = map[string]Distribution{
	"amzn": {ID: "amzn", Family: RedHat}, "centos": {ID: "centos", Family: RedHat}, "fedora": {ID: "fedora", Family: RedHat},
	"ol": {ID: "ol", Family: RedHat}, "photon": {ID: "photon"}, "ubuntu": {ID: "ubuntu", Family: Debian},
}

// recordedKernel is a kernel that a repository of a distribution has, and the package with its headers.
type recordedKernel struct {
	distribution    Distribution
	release, header string
}

// recordedKernels are all of the recorded listings.
func recordedKernels(t *testing.T) (all []recordedKernel) {
	t.Helper()
	f, err := os.Open(shared(t, "kernel-headers.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		if strings.HasPrefix(lines.Text(), "#") || len(fields) != 4 {
			continue
		}
		id, version, _ := strings.Cut(fields[0], "-")
		d := recordedDistributions[id]
		d.VersionID = version
		all = append(all, recordedKernel{d, fields[2], fields[3]})
	}
	if err := lines.Err(); err != nil || len(all) < 2000 {
		t.Fatalf("%d recorded kernels, expected 2000 and more (error %v)", len(all), err)
	}
	return all
}

func TestHeaderPackageOfRecordedKernels(t *testing.T) {
	for _, k := range recordedKernels(t) {
		got, ok := HeaderPackage(k.distribution, k.release)
		if !ok || got != k.header {
			t.Errorf("%s %s, %s: %q, %v; expected %q", k.distribution.ID, k.distribution.VersionID, k.release, got, ok, k.header)
		}
	}
}

func TestHeaderPackage(t *testing.T) {
	sles, el, fedora, oracle := Distribution{ID: "sles", Family: SUSE}, Distribution{ID: "rhel", Family: RedHat}, Distribution{ID: "fedora", Family: RedHat}, Distribution{ID: "ol", Family: RedHat}
	amazon, debian, ubuntu, photon := Distribution{ID: "amzn", Family: RedHat}, Distribution{ID: "debian", Family: Debian}, Distribution{ID: "ubuntu", Family: Debian}, Distribution{ID: "photon"}
	for _, c := range []struct {
		d             Distribution
		release, want string // "": not known
	}{
		{sles, "5.14.21-150500.55.68-default", "kernel-default-devel-5.14.21-150500.55.68"},
		{Distribution{ID: "alpine"}, "6.6.1-0-lts", ""},
		{el, "5.14.0-427.13.1.el9_4.x86_64", "kernel-devel-5.14.0-427.13.1.el9_4.x86_64"},
		{el, "5.14.0-427.13.1.el9_4.x86_64+rt", "kernel-rt-devel-5.14.0-427.13.1.el9_4.x86_64"},
		{el, "5.14.0-427.13.1.el9_4.x86_64+rt-debug", "kernel-rt-debug-devel-5.14.0-427.13.1.el9_4.x86_64"},
		{el, "5.14.0-316.el9.aarch64+64k", "kernel-64k-devel-5.14.0-316.el9.aarch64"},
		{el, "5.14.0-327.el9.aarch64+64k-debug", "kernel-64k-debug-devel-5.14.0-327.el9.aarch64"},
		{el, "5.14.0-354.el9.aarch64+rt-64k", "kernel-rt-64k-devel-5.14.0-354.el9.aarch64"},
		{el, "5.14.0-484.el9.x86_64+debug", "kernel-debug-devel-5.14.0-484.el9.x86_64"},
		{el, "4.18.0-553.el8_10.x86_64+debug", "kernel-debug-devel-4.18.0-553.el8_10.x86_64"},
		{el, "4.18.0-553.22.1.rt7.363.el8_10.x86_64", "kernel-rt-devel-4.18.0-553.22.1.rt7.363.el8_10.x86_64"},
		{el, "4.18.0-553.22.1.rt7.363.el8_10.x86_64+debug", "kernel-rt-debug-devel-4.18.0-553.22.1.rt7.363.el8_10.x86_64"},
		{el, "3.10.0-957.21.3.rt56.935.el7.x86_64", "kernel-rt-devel-3.10.0-957.21.3.rt56.935.el7.x86_64"},
		{el, "3.10.0-1160.6.1.el7.x86_64.debug", "kernel-debug-devel-3.10.0-1160.6.1.el7.x86_64"},
		{el, "5.14.0-427.el9.x86_64+something", ""},
		{el, "4.18.0-553.22.1.rt7.363.el8_10.x86_64+rt", ""},
		{el, "6.1.81-1.el9.elrepo.x86_64", ""},
		{el, "6.6.1", ""},
		{el, "6.6.1-custom", ""},
		{el, "x.x86_64", ""},
		{fedora, "7.1.8-100.fc43.x86_64+rt", "kernel-rt-devel-7.1.8-100.fc43.x86_64"},
		{fedora, "6.11.5-400.asahi.fc41.aarch64+16k", "kernel-16k-devel-6.11.5-400.asahi.fc41.aarch64"},
		{fedora, "6.4.0-0.rc0.20230427git6e98b09da931.5.fc39.aarch64", "kernel-devel-6.4.0-0.rc0.20230427git6e98b09da931.5.fc39.aarch64"},
		{oracle, "5.15.0-106.131.4.el8uek.x86_64.debug", "kernel-uek-debug-devel-5.15.0-106.131.4.el8uek.x86_64"},
		{oracle, "5.15.0-106.131.4.el8uek.aarch64+64k", ""},
		{el, "5.10.0-60.18.0.50.oe2203.x86_64", "kernel-devel-5.10.0-60.18.0.50.oe2203.x86_64"},
		{el, "4.14.0-115.el7a.0.1.aarch64", "kernel-devel-4.14.0-115.el7a.0.1.aarch64"},
		{el, "3.10.0-862.11.6.el7.centos.plus.1.x86_64", "kernel-plus-devel-3.10.0-862.11.6.el7.centos.plus.1.x86_64"},
		{el, "5.14.0-447.400.el9iv.x86_64", "kernel-automotive-devel-5.14.0-447.400.el9iv.x86_64"},
		{el, "5.14.0-298.261.el9iv.aarch64+debug", "kernel-automotive-debug-devel-5.14.0-298.261.el9iv.aarch64"},
		{el, "5.14.0-427.20.1.el9_4.cloud.x86_64", ""},
		{fedora, "6.18.8-1.surface.fc43.x86_64", "kernel-surface-devel-6.18.8-1.surface.fc43.x86_64"},
		{fedora, "6.8.7-201.fsync.fc39.x86_64", ""},
		{fedora, "6.13.2-cachyos1.fc41.x86_64", ""},
		{amazon, "5.10.228-219.884.amzn2.x86_64", "kernel-devel-5.10.228-219.884.amzn2.x86_64"},
		{amazon, "6.1.119-129.201.amzn2023.x86_64", "kernel-devel-6.1.119-129.201.amzn2023.x86_64"},
		{amazon, "6.12.20-23.97.amzn2023.aarch64", "kernel6.12-devel-6.12.20-23.97.amzn2023.aarch64"},
		{amazon, "6.18.39-79.141.amzn2023.x86_64", "kernel6.18-devel-6.18.39-79.141.amzn2023.x86_64"},
		{amazon, "7.4.1-1.1.amzn2023.x86_64", ""},
		{photon, "5.10.83-6.ph4", "linux-devel-5.10.83-6.ph4"},
		{photon, "5.10.83-6.ph4-esx", "linux-esx-devel-5.10.83-6.ph4"},
		{photon, "6.1.62-6.ph5-secure", "linux-secure-devel-6.1.62-6.ph5"},
		{photon, "5.10.109-3.ph4-aws", "linux-aws-devel-5.10.109-3.ph4"},
		{photon, "4.19.247-rt108-1.ph3-rt", "linux-rt-devel-4.19.247-1.ph3"},
		{photon, "5.10.83-6.ph4-kvm", ""},
		{photon, "4.4.77-1.ph1", ""},
		{photon, "4.4.77-1.ph1-esx", ""},
		{debian, "6.1.0-57-cloud-amd64", "linux-headers-6.1.0-57-cloud-amd64"},
		{debian, "6.1.0-0.deb11.5-amd64", "linux-headers-6.1.0-0.deb11.5-amd64"},
		{debian, "4.19.0-27-686-pae", "linux-headers-4.19.0-27-686-pae"},
		{debian, "6.12.48+deb13-cloud-amd64", "linux-headers-6.12.48+deb13-cloud-amd64"},
		{debian, "6.16.12+deb14+1-amd64", "linux-headers-6.16.12+deb14+1-amd64"},
		{debian, "6.12-rc6-amd64", "linux-headers-6.12-rc6-amd64"},
		{Distribution{ID: "kali", Family: Debian}, "6.1.0-kali9-amd64", "linux-headers-6.1.0-kali9-amd64"},
		{debian, "6.8.12-4-pve", "proxmox-headers-6.8.12-4-pve"},
		{debian, "6.2.16-6-pve", "proxmox-headers-6.2.16-6-pve"},
		{debian, "6.2.16-10-pve", "proxmox-headers-6.2.16-10-pve"},
		{debian, "6.2.16-5-pve", "pve-headers-6.2.16-5-pve"},
		{debian, "6.2.9-1-pve", "pve-headers-6.2.9-1-pve"},
		{debian, "5.15.152-1-pve", "pve-headers-5.15.152-1-pve"},
		{debian, "5.19.0-2-pve-smm-fix", ""},
		{debian, "6.12.25+rpt-rpi-2712", "linux-headers-6.12.25+rpt-rpi-2712"},
		{debian, "6.6.20+rpt-rpi-v8", "linux-headers-6.6.20+rpt-rpi-v8"},
		{debian, "6.1.0-rpi8-rpi-v8", "linux-headers-6.1.0-rpi8-rpi-v8"},
		{debian, "6.1.21-v8+", ""},
		{Distribution{ID: "raspbian", Family: Debian}, "5.4.72-v7l+", ""},
		{debian, "6.1.46-x64v3-xanmod1", "linux-headers-6.1.46-x64v3-xanmod1"},
		{debian, "5.11.0-8.1-liquorix-amd64", "linux-headers-5.11.0-8.1-liquorix-amd64"},
		{ubuntu, "6.5.7-surface-1", "linux-headers-6.5.7-surface-1"},
		{ubuntu, "5.7.7-050707-generic", "linux-headers-5.7.7-050707-generic"},
		{ubuntu, "5.4.0-1030-raspi2", "linux-headers-5.4.0-1030-raspi2"},
		{Distribution{ID: "pop", Family: Debian}, "6.6.10-76060610-generic", "linux-headers-6.6.10-76060610-generic"},
		{debian, "6.12.17-current-rockchip64", ""},
		{ubuntu, "5.10.104-tegra", ""},
		{ubuntu, "5.15.90.1-microsoft-standard-WSL2", ""},
		{debian, "6.6.1-custom", ""},
		{debian, "6.6.1", ""},
	} {
		if got, ok := HeaderPackage(c.d, c.release); got != c.want && ok || ok != (c.want != "") {
			t.Errorf("%s %s: %q, %v; expected %q", c.d.ID, c.release, got, ok, c.want)
		}
	}
}

func TestKernelPackage(t *testing.T) {
	for _, c := range []struct {
		family  Family
		release string
		want    string // "" where it is not known
	}{
		{Debian, "6.1.0-49-amd64", "linux-image-6.1.0-49-amd64"},
		{Debian, "5.15.0-91-generic", "linux-image-5.15.0-91-generic"},
		{Debian, "6.8.12-4-pve", ""},
		{Debian, "6.6.1-custom", ""},
		{RedHat, "4.18.0-553.el8_10.x86_64", "kernel-4.18.0-553.el8_10.x86_64"},
		{RedHat, "5.14.0-427.el9.aarch64+64k", "kernel-64k-5.14.0-427.el9.aarch64"},
		{RedHat, "5.4.17-2136.309.5.1.el8uek.x86_64", "kernel-uek-5.4.17-2136.309.5.1.el8uek.x86_64"},
		{RedHat, "6.1.1-1.el9.elrepo.x86_64", ""},
		{RedHat, "6.1.1", ""},
		{SUSE, "5.14.21-150500.55.7-default", "kernel-default-5.14.21-150500.55.7"},
		{SUSE, "5.14.21-150500.55.7-rt", ""},
		{UnknownFamily, "6.1.0", ""},
	} {
		if got, ok := KernelPackage(Distribution{Family: c.family}, c.release); ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%s, %s: %q, %v; expected %q", c.family, c.release, got, ok, c.want)
		}
	}
}
