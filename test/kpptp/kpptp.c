/*
 * A plugin of Debian's pppd (2.4.9, which has none for it): PPTP, RFC 2637, whose data path is the kernel's module pptp. The
 * control connection is made and kept here, in pppd's own process, as a client or as a server for one call at a time:
 *
 *	pppd plugin ./kpptp.so kpptp-server 198.18.0.1 [kpptp-call-id 7] user alice ...
 *	pppd plugin ./kpptp.so kpptp-listen 198.18.0.1 [kpptp-call-id 7] auth persist holdoff 1 ...
 *
 * With no holdoff at all a persistent pppd does not hear that it is told to end while it waits for a client.
 *
 * pppd looks for messages five times a second while the call lasts. It hangs up when the other side says Call-Clear-Request,
 * Call-Disconnect-Notify or Stop-Control-Connection-Request, or is gone; when pppd ends the call, a server is told by
 * Call-Clear-Request and Stop-Control-Connection-Request, a client by Call-Disconnect-Notify and the latter. What is said is in
 * pppd's log ("kpptp: ...").
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <linux/if_pppox.h>
#include <pppd/pppd.h>
#include <pppd/fsm.h>
#include <pppd/lcp.h>

enum {
	START_REQUEST = 1, START_REPLY, STOP_REQUEST, STOP_REPLY, ECHO_REQUEST, ECHO_REPLY, CALL_REQUEST, CALL_REPLY,
	CLEAR_REQUEST = 12, DISCONNECT_NOTIFY
};

enum {
	HEADER = 12,           /* octets before a message's own fields */
	LONGEST = 220,         /* Incoming-Call-Request */
	PORT = 1723,
	ANY = 3,               /* framing and bearer: any */
	SPEED = 100000000,     /* bit/s */
	WINDOW = 64,
	ANSWER = 30000,        /* ms for a reply while the call is made */
	GOODBYE = 2000,        /* ms for a reply while it is ended */
	LOOK = 200000          /* us between two looks at the control connection */
};

char pppd_version[] = VERSION;

static char *server_name;      /* of a client */
static char *listen_name;      /* of a server */
static int wanted_call_id;

static int control = -1;       /* the control connection */
static int data = -1;          /* the kernel's PPTP socket */
static uint16_t our_call, peer_call;
static int called;             /* a call was asked for, and not refused or disconnected since */
static int stopped;            /* nothing more can or need be said on the control connection */
static int leaving;            /* pppd ends the call: signals to it change nothing */
static const char *over;       /* why the call is over; null while it is not */

static unsigned char in[LONGEST], msg[LONGEST];
static int have;               /* octets in `in` */

static option_t options[] = {
	{ .name = "kpptp-server", .type = o_string, .addr = &server_name, .description = "Address (IPv4) of the PPTP server" },
	{ .name = "kpptp-listen", .type = o_string, .addr = &listen_name, .description = "Address (IPv4) to wait for a PPTP client at" },
	{ .name = "kpptp-call-id", .type = o_int, .addr = &wanted_call_id, .description = "Call ID of this side (0: any that is free)",
	  .flags = OPT_LIMITS, .lower_limit = 0, .upper_limit = 65535 },
	{ .name = NULL }
};

static const unsigned char magic[4] = { 0x1a, 0x2b, 0x3c, 0x4d };

static void put16(unsigned char *p, unsigned v) { p[0] = v >> 8; p[1] = v; }
static unsigned get16(const unsigned char *p) { return p[0] << 8 | p[1]; }

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000L + t.tv_nsec / 1000000;
}

static int lost(const char *why)
{
	over = why;
	stopped = 1;
	return -1;
}

/* Writes a message of this type and length whose own fields are in m already. */
static int send_message(unsigned char *m, int type, int len)
{
	int n;

	put16(m, len);
	put16(m + 2, 1);
	memcpy(m + 4, magic, 4);
	put16(m + 8, type);
	put16(m + 10, 0);
	while (len > 0) {
		n = send(control, m, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR && (leaving || !got_sigterm))
			continue;
		if (n <= 0)
			return lost("the control connection takes no more");
		m += n;
		len -= n;
	}
	return 0;
}

/* Takes the first whole message out of `in` into `msg`. Returns its type, 0 if there is none yet, -1 if it is none of PPTP. */
static int take_message(void)
{
	int len, type;

	if (have < HEADER)
		return 0;
	len = get16(in);
	if (len < HEADER + 4 || len > LONGEST || get16(in + 2) != 1 || memcmp(in + 4, magic, sizeof(magic)))
		return lost("a message is none of RFC 2637");
	if (have < len)
		return 0;
	memset(msg, 0, sizeof(msg));
	memcpy(msg, in, len);
	have -= len;
	memmove(in, in + len, have);
	type = get16(msg + 8);
	return type ? type : lost("a message has no type");
}

/* Waits until `until` (now_ms) for a message. Returns its type, 0 if it is too late, -1 if the connection or pppd has ended. */
static int next_message(long until)
{
	struct pollfd p = { .fd = control, .events = POLLIN };
	int n, type;
	long left;

	for (;;) {
		type = take_message();
		if (type)
			return type;
		left = until - now_ms();
		n = poll(&p, 1, left > 0 ? left : 0);
		if (n < 0 && errno == EINTR) {
			if (got_sigterm && !leaving)
				return lost("interrupted");
			continue;
		}
		if (n == 0)
			return 0;
		n = recv(control, in + have, sizeof(in) - have, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return lost("the control connection is closed");
		have += n;
	}
}

/* Tells a client that the call is over, as it has asked for or on our own account (result 3, Admin Shutdown; 4, Request). */
static int disconnect_notify(int result)
{
	unsigned char m[148] = { 0 };

	put16(m + 12, our_call);
	m[14] = result;
	return send_message(m, DISCONNECT_NOTIFY, sizeof(m));
}

/* Does what any message asks for that may come at any time. */
static void obey(int type)
{
	unsigned char m[20] = { 0 };

	switch (type) {
	case ECHO_REQUEST:
		memcpy(m + 12, msg + 12, 4);
		m[16] = 1;
		send_message(m, ECHO_REPLY, 20);
		break;
	case STOP_REQUEST:
		notice("kpptp: Stop-Control-Connection-Request, reason %d", msg[12]);
		m[12] = 1;
		send_message(m, STOP_REPLY, 16);
		called = 0;
		lost("the other side has stopped the control connection");
		break;
	case CLEAR_REQUEST:
		if (!listen_name || !called || get16(msg + 12) != peer_call) /* a server asks for none */
			break;
		notice("kpptp: Call-Clear-Request");
		disconnect_notify(4);
		called = 0;
		over = "the client has cleared the call";
		break;
	case DISCONNECT_NOTIFY:
		if (!called || get16(msg + 12) != peer_call)
			break;
		notice("kpptp: Call-Disconnect-Notify, result %d, error %d, cause %d", msg[14], msg[15], get16(msg + 16));
		called = 0;
		over = "the server has disconnected the call";
		break;
	}
}

/* Waits for a message of this type, ms at most, and obeys the others that come before it. */
static int await(int wanted, int ms)
{
	long until = now_ms() + ms;
	int type;

	while (!stopped) {
		type = next_message(until);
		if (type == wanted)
			return 0;
		if (type <= 0)
			return -1;
		obey(type);
	}
	return -1;
}

static void look(void *unused)
{
	int type = 1;

	(void)unused;
	while (!over && (type = next_message(0)) > 0)
		obey(type);
	if (!over) {
		timeout(look, NULL, 0, LOOK);
		return;
	}
	notice("kpptp: hangup: %s", over);
	hungup = 1;
	status = EXIT_HANGUP;
	lcp_lowerdown(0);
	link_terminated(0);
}

static int at_address(const char *name, struct sockaddr_in *a)
{
	memset(a, 0, sizeof(*a));
	a->sin_family = AF_INET;
	a->sin_port = htons(PORT);
	if (inet_pton(AF_INET, name, &a->sin_addr) == 1)
		return 0;
	error("kpptp: %s is no IPv4 address", name);
	return -1;
}

/* Waits for a client, until pppd is told to end. Only one is let in: nobody listens during the call. */
static int accept_client(struct sockaddr_in *self)
{
	struct pollfd p = { .events = POLLIN };
	int on = 1, n = 0;

	p.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p.fd < 0 || setsockopt(p.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) || bind(p.fd, (struct sockaddr *)self, sizeof(*self)) || listen(p.fd, 1))
		error("kpptp: listening at %s: %m", listen_name);
	else {
		while (n <= 0 && !got_sigterm)
			n = poll(&p, 1, LOOK / 1000);
		if (n > 0)
			control = accept4(p.fd, NULL, NULL, SOCK_CLOEXEC);
	}
	if (p.fd >= 0)
		close(p.fd);
	return control < 0 ? -1 : 0;
}

/* Makes the TCP connection and limits how long it may block. */
static int open_connection(struct sockaddr_in *self, struct sockaddr_in *peer)
{
	struct timeval limit = { .tv_sec = 10 };
	socklen_t n = sizeof(*self);

	if (listen_name) {
		if (at_address(listen_name, self) || accept_client(self))
			return -1;
	} else {
		if (at_address(server_name ? server_name : "(no kpptp-server)", peer))
			return -1;
		control = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (control < 0 || connect(control, (struct sockaddr *)peer, sizeof(*peer))) {
			error("kpptp: control connection to %s: %m", server_name);
			return -1;
		}
	}
	if (setsockopt(control, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) || getsockname(control, (struct sockaddr *)self, &n) ||
	    getpeername(control, (struct sockaddr *)peer, &n)) {
		error("kpptp: control connection: %m");
		return -1;
	}
	return 0;
}

static int open_control(struct sockaddr_in *self, struct sockaddr_in *peer)
{
	unsigned char m[156] = { 0 };

	if (open_connection(self, peer))
		return -1;
	put16(m + 12, 0x0100);
	m[19] = m[23] = ANY;
	strcpy((char *)m + 28, "kpptp");
	strcpy((char *)m + 92, "Linux");
	if (listen_name) {
		m[14] = 1;
		if (await(START_REQUEST, ANSWER) == 0 && send_message(m, START_REPLY, sizeof(m)) == 0)
			return 0;
		error("kpptp: a client does not start the control connection: %s", over ? over : "too late");
		return -1;
	}
	if (send_message(m, START_REQUEST, sizeof(m)) || await(START_REPLY, ANSWER) || msg[14] != 1) {
		error("kpptp: %s does not start the control connection: %s, result %d", server_name, over ? over : "its reply", msg[14]);
		return -1;
	}
	return 0;
}

/* Asks the server for a call, and takes its Call ID. */
static int ask_for_call(void)
{
	unsigned char m[168] = { 0 };

	put16(m + 12, our_call);
	put16(m + 14, 1);      /* serial number */
	put16(m + 18, 300);    /* from 300 bit/s */
	put16(m + 20, SPEED >> 16);
	put16(m + 22, SPEED & 0xffff);
	m[27] = m[31] = ANY;
	put16(m + 32, WINDOW);
	if (send_message(m, CALL_REQUEST, sizeof(m)) || await(CALL_REPLY, ANSWER)) {
		error("kpptp: no Outgoing-Call-Reply: %s", over ? over : "too late");
		return -1;
	}
	if (msg[16] != 1 || get16(msg + 14) != our_call) {
		error("kpptp: the call is refused: result %d, error %d, cause %d", msg[16], msg[17], get16(msg + 18));
		return -1;
	}
	peer_call = get16(msg + 12);
	return 0;
}

/* Takes the client's Call ID out of its request for a call. It is answered when the data path is there. */
static int await_call(void)
{
	if (await(CALL_REQUEST, ANSWER)) {
		error("kpptp: no Outgoing-Call-Request: %s", over ? over : "too late");
		return -1;
	}
	peer_call = get16(msg + 12);
	return 0;
}

static int answer_call(void)
{
	unsigned char m[32] = { 0 };

	put16(m + 12, our_call);
	put16(m + 14, peer_call);
	m[16] = 1;
	put16(m + 20, SPEED >> 16);
	put16(m + 22, SPEED & 0xffff);
	put16(m + 24, WINDOW);
	return send_message(m, CALL_REPLY, sizeof(m));
}

static int open_data(struct sockaddr_in *self, struct sockaddr_in *far)
{
	union { struct sockaddr any; struct sockaddr_pppox pptp; } local, peer; /* the latter is packed */
	socklen_t n = sizeof(local.pptp);

	memset(&local, 0, sizeof(local));
	local.pptp.sa_family = AF_PPPOX;
	local.pptp.sa_protocol = PX_PROTO_PPTP;
	local.pptp.sa_addr.pptp.sin_addr = self->sin_addr;
	local.pptp.sa_addr.pptp.call_id = wanted_call_id;
	peer = local;
	peer.pptp.sa_addr.pptp.sin_addr = far->sin_addr;
	data = socket(AF_PPPOX, SOCK_STREAM | SOCK_CLOEXEC, PX_PROTO_PPTP);
	if (data < 0 || bind(data, &local.any, n) || getsockname(data, &local.any, &n)) {
		error("kpptp: PPTP socket: %m");
		return -1;
	}
	our_call = local.pptp.sa_addr.pptp.call_id;
	if (listen_name ? await_call() : ask_for_call())
		return -1;
	called = 1;
	peer.pptp.sa_addr.pptp.call_id = peer_call;
	if (connect(data, &peer.any, sizeof(peer.pptp))) {
		error("kpptp: PPTP socket to %s: %m", inet_ntoa(far->sin_addr));
		return -1;
	}
	if (listen_name && answer_call())
		return -1;
	notice("kpptp: call %d here, %d at %s", our_call, peer_call, inet_ntoa(far->sin_addr));
	return 0;
}

static void hang_up(void);

static int call(void)
{
	struct sockaddr_in self, peer;

	over = NULL;
	have = called = stopped = leaving = 0;
	if (open_control(&self, &peer) || open_data(&self, &peer)) {
		hang_up();
		status = EXIT_CONNECT_FAILED;
		return -1;
	}
	timeout(look, NULL, 0, LOOK);
	return data;
}

static void close_sockets(void)
{
	if (data >= 0)
		close(data);
	if (control >= 0)
		close(control);
	data = control = -1;
}

/* Tells the other side, if it does not know, and closes everything. It may be called twice. */
static void hang_up(void)
{
	unsigned char m[16] = { 0 };

	untimeout(look, NULL);
	leaving = 1;
	if (called && !stopped && listen_name)
		disconnect_notify(3);
	else if (called && !stopped) {
		put16(m + 12, our_call);
		if (send_message(m, CLEAR_REQUEST, sizeof(m)) == 0 && await(DISCONNECT_NOTIFY, GOODBYE) == 0)
			info("kpptp: the server has disconnected the call when told to");
	}
	called = 0;
	memset(m, 0, sizeof(m));
	m[12] = 1;
	if (control >= 0 && !stopped && send_message(m, STOP_REQUEST, sizeof(m)) == 0 && await(STOP_REPLY, GOODBYE) == 0)
		info("kpptp: the %s has stopped the control connection when told to", listen_name ? "client" : "server");
	close_sockets();
}

/* GRE has no use for what serial lines agree on. */
static void send_config(int mtu, u_int32_t accm, int pcomp, int accomp)
{
	(void)mtu; (void)accm; (void)pcomp; (void)accomp;
}

static void recv_config(int mru, u_int32_t accm, int pcomp, int accomp)
{
	(void)mru; (void)accm; (void)pcomp; (void)accomp;
}

static struct channel kpptp = {
	.options = options,
	.connect = call,
	.disconnect = hang_up,
	.establish_ppp = generic_establish_ppp,
	.disestablish_ppp = generic_disestablish_ppp,
	.send_config = send_config,
	.recv_config = recv_config,
	.cleanup = hang_up,
	.close = close_sockets,
};

void plugin_init(void)
{
	add_options(options);
	the_channel = &kpptp;
	modem = 0;
	lcp_allowoptions[0].neg_accompression = 0;
	lcp_wantoptions[0].neg_accompression = 0;
	lcp_allowoptions[0].neg_pcompression = 0;
	lcp_wantoptions[0].neg_pcompression = 0;
	lcp_allowoptions[0].neg_asyncmap = 0;
	lcp_wantoptions[0].neg_asyncmap = 0;
}
