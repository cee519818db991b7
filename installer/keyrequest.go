package installer

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"slices"
	"strings"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/kmod"
)

// KeyRequest is the step that asks the firmware, at the next boot, to trust a key for kernel modules. The password is made here, is told once
// (Told), and is kept nowhere: only its hash, which mokutil(1) leaves for the firmware.
type KeyRequest struct {
	Certificate string // file, DER

	Others bool // for Undo: other keys were requested already, which take the same password from now on

	password string
}

func init() { register(func() Step { return new(KeyRequest) }) }

// Kind implements Step.
func (*KeyRequest) Kind() string { return "key-request" }

// Title implements Step.
func (s *KeyRequest) Title() fault.Text {
	return fault.Text{EN: "ask the firmware to trust %s for kernel modules at the next boot", JA: "次回起動時に %s をカーネルモジュール用に信頼するようファームウェアへ要求"}.With(s.Certificate)
}

// Commands implements Step.
func (s *KeyRequest) Commands() []string {
	return []string{commandLine(mokutil, []string{"--import", s.Certificate})}
}

const mokutil = "mokutil"

// Needed implements Step: not for a key that the firmware has, or is asked for already. A request that was not granted is gone, and is made again.
func (s *KeyRequest) Needed(_ context.Context, h *Host) (bool, error) {
	certificate, err := h.Root.ReadFile(s.Certificate, maxCertificate)
	if errors.Is(err, fs.ErrNotExist) { // it is made by a step before
		return true, nil
	}
	if err != nil {
		return false, err
	}
	b := host.SecureBootOf(h.Root)
	for _, list := range []host.Reading[[][]byte]{b.Enrolled, b.Requested} {
		if list.Err != nil {
			return false, list.Err
		}
		if hasCertificate(list.Value, certificate) {
			return false, nil
		}
	}
	return true, nil
}

const maxCertificate = 64 << 10 // bytes

func hasCertificate(certificates [][]byte, one []byte) bool {
	return slices.ContainsFunc(certificates, func(c []byte) bool { return bytes.Equal(c, one) })
}

// Prepare implements Step.
func (s *KeyRequest) Prepare(_ context.Context, h *Host) error {
	r := host.SecureBootOf(h.Root).Requested
	s.Others = len(r.Value) > 0
	return r.Err
}

// Apply implements Step. mokutil takes the password twice from its standard input, also without a terminal (0.6.0). That there is a request is looked
// at: a firmware may be out of room for variables.
func (s *KeyRequest) Apply(ctx context.Context, h *Host) (err error) {
	if s.password, err = newPassword(); err != nil {
		return err
	}
	file, err := h.Root.Path(s.Certificate)
	if err != nil {
		return err
	}
	if _, err := h.answer(ctx, strings.Repeat(s.password+"\n", 2), mokutil, "--import", file); err != nil {
		return err
	}
	certificate, err := h.Root.ReadFile(s.Certificate, maxCertificate)
	if err != nil {
		return err
	}
	requested := host.SecureBootOf(h.Root).Requested
	if requested.Err == nil && !hasCertificate(requested.Value, certificate) {
		return fmt.Errorf("%s: ended well, and %s does not have %s afterwards", mokutil, requested.From, s.Certificate)
	}
	return requested.Err
}

// Undo implements Step. mokutil can only take all requests back: where there were others before, this one stays, and the firmware asks a person.
func (s *KeyRequest) Undo(ctx context.Context, h *Host) error {
	requested := host.SecureBootOf(h.Root).Requested
	if requested.Err != nil || s.Others || len(requested.Value) == 0 {
		return requested.Err
	}
	_, err := h.Run(ctx, mokutil, "--revoke-import")
	return err
}

// Told implements Teller.
func (s *KeyRequest) Told() fault.Text {
	if s.password == "" {
		return fault.Text{}
	}
	return passwordTold.With(s.password)
}

var passwordTold = fault.Text{
	EN: "Password for the firmware, shown this once and stored nowhere: %s",
	JA: "ファームウェアで入力するパスワード (今回のみ表示、どこにも保存されません): %s",
}

// PasswordPhrases are the words that a password for the firmware follows, for those who take it out of what they pass on.
func PasswordPhrases() []string {
	told := passwordTold.With("")
	return []string{strings.TrimSpace(told.EN), strings.TrimSpace(told.JA)}
}

// passwordLetters are where they are on a US keyboard, which is what the firmware takes every keyboard for, on those of most countries too, and are not
// mistaken for one another.
const (
	passwordLetters = "bcdefghjknprstuvx"
	passwordLength  = 12 // 49 bits; who may try has to stand before the machine, three times a boot
)

func newPassword() (string, error) {
	var b strings.Builder
	for range passwordLength {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(passwordLetters))))
		if err != nil {
			return "", err
		}
		b.WriteByte(passwordLetters[n.Int64()])
	}
	return b.String(), nil
}

// KeyItems are the items that have the firmware trust a key of this host for its kernel modules: of a key that is there, else of one that is made.
func KeyItems(f *health.Facts) []Item {
	named := f.ModuleKey()
	keys, err := kmod.FindSigningKeys(host.At(f.Host.Root), named)
	key := kmod.PickSigningKey(keys, f.Host.ModuleLoading)
	uefi := f.Host.ModuleLoading.SecureBoot.UEFI
	noUEFI := uefi.Known() && !uefi.Value
	if key == nil && named != (kmod.KeyFiles{}) {
		return []Item{{Manual: namedKeyUnusable.With(err)}}
	}
	if key == nil && !noUEFI { // one in another place that cannot be read is as none
		return append(requestItems(f, kmod.OwnCertificateFile, &ModuleKey{}), Item{Manual: firmwareScreens, Commands: []string{"systemctl reboot"}})
	}
	if key == nil {
		return []Item{{Manual: noFirmware}}
	}
	switch state := kmod.EnrolmentOf(key, f.Host.ModuleLoading); {
	case !state.Known():
		return []Item{{Manual: keyUnknown.With(key.Files.Certificate, state.Err), Commands: []string{"mokutil --import " + ShellWord(key.Files.Certificate)}}}
	case state.Value == kmod.Trusted:
		return nil
	case noUEFI:
		return []Item{{Manual: noFirmware}}
	case state.Value == kmod.Enrolled:
		return []Item{{Manual: keyNotTaken.With(key.Files.Certificate)}}
	}
	return append(requestItems(f, key.Files.Certificate), Item{Manual: firmwareScreens, Commands: []string{"systemctl reboot"}})
}

// requestItems are the steps; a host without mokutil gets it first.
func requestItems(f *health.Facts, certificate string, before ...Step) []Item {
	var items []Item
	for _, s := range before {
		items = append(items, Item{Step: s})
	}
	if _, there := host.FindTool(host.At(f.Host.Root), mokutil); !there {
		items = append(items, PackageItems(f, mokutil)...)
	}
	return append(items, Item{Step: &KeyRequest{Certificate: certificate}})
}

// What only a person can do. The words in quotes are those on the screens, as shim 15 and 16 have them.
var (
	firmwareScreens = fault.Text{
		EN: "Reboot while you are at the machine's own screen (a console of the hypervisor or of the management controller will do). Before the system boots a blue screen says \"Press any key to perform MOK management\": press a key within 10 seconds. " +
			"Choose \"Enroll MOK\", then \"Continue\"; answer \"Enroll the key(s)?\" with \"Yes\"; type the password that was shown; choose \"Reboot\". The keyboard counts as a US one. " +
			"The connector then signs, loads and uses its modules by itself. If no key is pressed in time, or the password is wrong three times, the request is gone: run this command again; so too, after mokutil --revoke-import, if the password is lost. Secure Boot stays on throughout.",
		JA: "マシン本体の画面 (ハイパーバイザーや管理コントローラーのコンソールでも可) の前で再起動してください。システムの起動前に青い画面に \"Press any key to perform MOK management\" と表示されるので、10 秒以内に何かキーを押します。" +
			"\"Enroll MOK\"、\"Continue\" の順に選び、\"Enroll the key(s)?\" に \"Yes\" と答え、表示されたパスワードを入力し、\"Reboot\" を選びます。キーボードは US 配列として扱われます。" +
			"その後、コネクタが自動的にモジュールへ署名し、ロードして使用します。時間内にキーを押さなかった場合、またはパスワードを三回間違えた場合、要求は破棄されるため、このコマンドを再実行してください。パスワードを失くした場合も、mokutil --revoke-import の後に再実行してください。セキュアブートは常に有効なままです。",
	}
	noFirmware = fault.Text{
		EN: "This kernel takes only modules signed with a key that it trusts, and the machine was not started by UEFI, so that no key of its owner can be enrolled: have the module signed with a key that the kernel was built with, or let a person decide whether the kernel has to ask for signatures (module.sig_enforce, lockdown).",
		JA: "このカーネルは信頼する鍵で署名されたモジュールしか受け付けませんが、マシンが UEFI で起動されていないため所有者の鍵を登録できません。カーネルに組み込まれた鍵でモジュールに署名するか、カーネルが署名を求める設定 (module.sig_enforce、ロックダウン) の要否を管理者が判断してください。",
	}
	namedKeyUnusable = fault.Text{
		EN: "The key that the policy names cannot be used (%v): mend it, or take it out of <kernel> in the policy, and a key of this host's own is made.",
		JA: "ポリシーで指定された鍵を使用できません (%v)。鍵を修正するか、ポリシーの <kernel> から削除してください。削除すると、このホスト専用の鍵が作成されます。",
	}
	keyUnknown = fault.Text{
		EN: "Whether the firmware trusts %s is not known (%v). Have it trusted, if it is not.",
		JA: "ファームウェアが %s を信頼しているかどうか判定できません (%v)。信頼されていない場合は登録してください。",
	}
	keyNotTaken = fault.Text{
		EN: "The firmware trusts %s, and this kernel does not take keys of the machine's owner for modules (CONFIG_INTEGRITY_MACHINE_KEYRING is off, or the machine has not been rebooted since). Boot a newer kernel of the distribution.",
		JA: "ファームウェアは %s を信頼していますが、このカーネルはマシン所有者の鍵をモジュールに使用しません (CONFIG_INTEGRITY_MACHINE_KEYRING が無効、または登録後に再起動していません)。ディストリビューションの新しいカーネルで起動してください。",
	}
)
