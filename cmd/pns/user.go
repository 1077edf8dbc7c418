package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"trunkline.example/pns/aaa"
	"trunkline.example/shared/admin"
	"trunkline.example/shared/command"
	"trunkline.example/shared/conf"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/record"
)

// maxPassword is the longest password in octets: what MS-CHAPv2 allows (256 UTF-16 characters), in round figures.
const maxPassword = 1024

// usersFile is which users file a command works on.
type usersFile struct{ file, config string }

func (u *usersFile) flags(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&u.file, "file", "", "users file (default: the one that the configuration names)")
	cmd.Flags().StringVarP(&u.config, "config", "c", "", "configuration file")
	return cmd
}

func (u *usersFile) path() (string, error) {
	if u.file != "" {
		return u.file, nil
	}
	cfg, err := loadConfig(u.config)
	if err != nil {
		return "", err
	}
	return cfg.Users.File, nil
}

func userCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "user", Short: "add, remove and list users", Args: command.NoSuchCommand,
		RunE: func(cmd *cobra.Command, args []string) error {
			return command.Usage(errors.New("say what to do: pns user add|del|list"))
		},
	}
	cmd.AddCommand(userAddCommand(), userDelCommand(), userListCommand())
	return cmd
}

func userAddCommand() *cobra.Command {
	var u usersFile
	var e aaa.Entry
	var replace bool
	var f entryFlags
	cmd := u.flags(&cobra.Command{
		Use: "add NAME", Short: "add a user; the password is asked for, or read from standard input", Args: cobra.ExactArgs(1),
		Long: "Add a user. The password is asked for on the terminal, or read as one line from standard input; it is never an argument,\n" +
			"which others could see. A running server takes the change in by itself.",
		RunE: func(cmd *cobra.Command, args []string) error {
			e.Name = args[0]
			if err := f.parse(&e, cmd.Flags().Changed); err != nil {
				return command.Usage(err)
			}
			path, err := u.path()
			if err != nil {
				return err
			}
			if e.Password, err = readPassword(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr()); err != nil {
				return err
			}
			if err := aaa.Add(path, e, replace); err != nil {
				if errors.Is(err, aaa.ErrExists) {
					return fmt.Errorf("%w (--replace changes it)", err)
				}
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "user %q is in %s\n", e.Name, path)
			return nil
		},
	})
	cmd.Flags().BoolVar(&replace, "replace", false, "change a user that is there already")
	cmd.Flags().BoolVar(&e.Hashed, "hash", false, "store the NT hash instead of the password (the user cannot log in with CHAP-MD5 then)")
	cmd.Flags().StringVar(&f.address, "address", "", "address the user always gets")
	cmd.Flags().IntVar(&e.Sessions, "sessions", 0, "sessions at a time (default: as configured)")
	cmd.Flags().StringVar(&f.encryption, "encryption", "", "required, preferred or none, as in the users file (default: the policy's)")
	cmd.Flags().StringSliceVar(&f.protocols, "authentication", nil, "protocols the user may log in with: ms-chapv2, chap-md5, pap (default: any that the policy allows)")
	cmd.Flags().StringVar(&f.rateIn, "rate-in", "", `most that a session may carry from the client, as "512kbit/s"; "0" is no limit (default: the policy's)`)
	cmd.Flags().StringVar(&f.rateOut, "rate-out", "", "most to the client, likewise")
	cmd.Flags().StringSliceVar(&f.routes, "routes", nil, `networks behind the user, as "192.168.5.0/24"`)
	cmd.Flags().StringVar(&e.Filter.Name, "filter", "", `the [[filter]] of the user's sessions; "" is none (default: the policy's)`)
	return cmd
}

// entryFlags are the flags of `pns user add` that have to be read.
type entryFlags struct {
	address, encryption string
	protocols           []string
	rateIn, rateOut     string
	routes              []string
}

// parse turns the flags into fields; changed tells those that are given.
func (f *entryFlags) parse(e *aaa.Entry, changed func(string) bool) error {
	if f.address != "" {
		a, err := netip.ParseAddr(f.address)
		if err != nil || !a.Is4() {
			return fmt.Errorf("--address %q is not an IPv4 address", f.address)
		}
		e.Address = a
	}
	for _, text := range f.routes {
		p, err := netip.ParsePrefix(text)
		if err != nil || !p.Addr().Is4() {
			return fmt.Errorf("--routes %q is not an IPv4 network", text)
		}
		e.Routes = append(e.Routes, p)
	}
	e.Filter.Own = changed("filter")
	if err := errors.Join(parseRate(&e.Rates.In, "rate-in", f.rateIn, changed), parseRate(&e.Rates.Out, "rate-out", f.rateOut, changed)); err != nil {
		return err
	}
	switch f.encryption {
	case "":
	case "required":
		e.Encryption = auth.EncryptionRequired
	case "preferred", "allowed":
		e.Encryption = auth.EncryptionAllowed
	case "none", "forbidden":
		e.Encryption = auth.EncryptionForbidden
	default:
		return fmt.Errorf("--encryption %q is none of required, preferred, none", f.encryption)
	}
	for _, name := range f.protocols {
		var p aaa.Protocol
		if err := p.UnmarshalText([]byte(name)); err != nil {
			return fmt.Errorf("--authentication: %w", err)
		}
		e.Authentication = append(e.Authentication, p.Protocol)
	}
	if e.Sessions < 0 {
		return fmt.Errorf("--sessions %d is negative", e.Sessions)
	}
	return nil
}

// readPassword asks twice on a terminal, without echo; from anything else it takes the first line.
func readPassword(ctx context.Context, in io.Reader, prompt io.Writer) (string, error) {
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return askPassword(ctx, int(f.Fd()), prompt)
	}
	line, err := bufio.NewReader(io.LimitReader(in, maxPassword+2)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("password: %w", err)
	}
	return checkPassword(strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"))
}

func askPassword(ctx context.Context, fd int, prompt io.Writer) (string, error) {
	var answers [2]string
	for i, text := range []string{"Password: ", "Again: "} {
		fmt.Fprint(prompt, text)
		b, err := readHidden(ctx, fd)
		fmt.Fprintln(prompt)
		if err != nil {
			return "", fmt.Errorf("password: %w", err)
		}
		answers[i] = string(b)
	}
	if answers[0] != answers[1] {
		return "", errors.New("the two passwords differ")
	}
	return checkPassword(answers[0])
}

// readHidden reads a line without echo, until ctx ends: then the terminal is as it was before.
func readHidden(ctx context.Context, fd int) ([]byte, error) {
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	type answer struct {
		line []byte
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		line, err := term.ReadPassword(fd)
		answered <- answer{line, err}
	}()
	select {
	case a := <-answered:
		return a.line, a.err
	case <-ctx.Done():
		return nil, errors.Join(errors.New("interrupted, nothing has changed"), term.Restore(fd, before))
	}
}

func checkPassword(p string) (string, error) {
	switch {
	case p == "":
		return "", errors.New("the password is empty")
	case len(p) > maxPassword:
		return "", fmt.Errorf("the password has more than %d octets", maxPassword)
	}
	return p, nil
}

func parseRate(r *aaa.Rate, flag, text string, changed func(string) bool) error {
	if !changed(flag) {
		return nil
	}
	var rate conf.BitRate
	if err := rate.UnmarshalText([]byte(text)); err != nil {
		return fmt.Errorf("--%s: %w", flag, err)
	}
	*r = aaa.Rate{Own: true, PerSecond: rate.PerSecond}
	return nil
}

func userDelCommand() *cobra.Command {
	var u usersFile
	return u.flags(&cobra.Command{
		Use: "del NAME", Aliases: []string{"remove"}, Short: "remove a user; sessions that are up stay", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := u.path()
			if err != nil {
				return err
			}
			return aaa.Remove(path, args[0])
		},
	})
}

// userRow is a user as `pns user list` shows it; there is no secret in it.
type userRow struct {
	Name           string   `json:"name"`
	Address        string   `json:"address,omitempty"`
	Authentication []string `json:"authentication,omitempty"`
	Encryption     string   `json:"encryption"`
	Sessions       int      `json:"sessions,omitempty"`
	RateIn         string   `json:"rate_in,omitempty"`
	RateOut        string   `json:"rate_out,omitempty"`
	Filter         *string  `json:"filter,omitempty"`
	Routes         []string `json:"routes,omitempty"`
	Disabled       bool     `json:"disabled,omitempty"`
}

func userListCommand() *cobra.Command {
	var u usersFile
	var asJSON bool
	cmd := u.flags(&cobra.Command{
		Use: "list", Short: "list the users", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := u.path()
			if err != nil {
				return err
			}
			file, err := aaa.OpenFile(path, aaa.FileOptions{})
			if err != nil {
				return err
			}
			rows := []userRow{}
			for _, user := range file.Users() {
				r := userRow{Name: user.Name, Address: record.AddressText(user.Address), Encryption: encryptionWord(user.Encryption), Sessions: user.Sessions, Disabled: user.Disabled}
				r.limits(user)
				for _, p := range user.Routes {
					r.Routes = append(r.Routes, p.String())
				}
				for _, p := range user.Authentication {
					r.Authentication = append(r.Authentication, p.String())
				}
				rows = append(rows, r)
			}
			return admin.Print(cmd.OutOrStdout(), asJSON, rows, func() *admin.Table { return userTable(rows) })
		},
	})
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// limits fills in what the user has of his own.
func (r *userRow) limits(user aaa.User) {
	if rate := user.Rates.In; rate.Own {
		r.RateIn = rate.String()
	}
	if rate := user.Rates.Out; rate.Own {
		r.RateOut = rate.String()
	}
	if f := user.Filter; f.Own {
		r.Filter = &f.Name
	}
}

// encryptionWord is what the users file calls an override.
func encryptionWord(e auth.EncryptionOverride) string {
	switch e {
	case auth.EncryptionAllowed:
		return "preferred"
	case auth.EncryptionForbidden:
		return "none"
	}
	return e.String()
}

func userTable(rows []userRow) *admin.Table {
	t := &admin.Table{Columns: admin.Columns("name", "address", "authentication", "encryption", ">sessions", ">rate in", ">rate out", "filter", "networks", "state"), Empty: "no users"}
	for _, r := range rows {
		state, sessions, filter := "", "", ""
		if r.Filter != nil {
			filter = strconv.Quote(*r.Filter)
		}
		if r.Disabled {
			state = "disabled"
		}
		if r.Sessions > 0 {
			sessions = fmt.Sprint(r.Sessions)
		}
		t.Add(r.Name, r.Address, strings.Join(r.Authentication, ","), r.Encryption, sessions, r.RateIn, r.RateOut, filter, strings.Join(r.Routes, ", "), state)
	}
	return t
}
