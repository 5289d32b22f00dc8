/*
 * relay_floor: the least that an SMTP relay can do and still keep its promise. What pymta is measured against.
 *
 *     relay_floor LISTEN_PORT NEXT_HOP_PORT LOG_FILE
 *
 * One thread, one epoll loop, loopback only. A message is in LOG_FILE, and fdatasync has returned, before it gets its
 * 250; one fdatasync serves all the messages that ended in the same round of the loop. Then it goes to the next hop
 * over a pool of connections that are kept open, its commands pipelined with its content.
 *
 * It is not a mail server: there is no policy, no DNS, no trace field, no retry, no recovery, and no defence against a
 * client that misbehaves or sends a message without a line. LOG_FILE is a ring of fixed size that is never read. What is left is the work of the kernel
 * and one search for the end of the content, so that no honest relay on the same machine can be much faster.
 *
 * Rule: nothing here may be cleverer than a relay that does its duty could be, and nothing it must do may be left out.
 * It stops with a message at the first thing that it does not expect; a benchmark must not go on with half the load.
 */
#define _GNU_SOURCE /* memmem, accept4 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    POOL_CONNECTIONS_MAX = 50,         /* to the next hop */
    CONNECTING_MAX = 4,                /* of these, not yet greeted: the pool grows by need, not in one burst */
    BACKLOG_MAX = 1000,
    EVENTS_MAX = 256,                  /* a round of the loop */
    INPUT_OCTETS_START = 64 * 1024,    /* of a connection's buffer, which doubles when less than a read is free */
    READ_OCTETS_MIN = 32 * 1024,
    PATH_OCTETS_MAX = 512,
    LOG_OCTETS = 256 * 1024 * 1024,
};

/* A message: commands and content stand behind each other, as they will be sent. */
struct message {
    struct message *next;
    size_t commands_octets, octets;
    char bytes[];
};

enum role { LISTENER, CLIENT, NEXT_HOP };

/* A CLIENT is in COMMANDS or CONTENT; a connection to the NEXT_HOP goes GREETING, HELLO, then IDLE and BUSY in turn. */
enum state { COMMANDS, CONTENT, GREETING, HELLO, IDLE, BUSY };

struct connection {
    int fd;
    enum role role;
    enum state state;
    char *input;
    size_t input_octets, input_room;

    /* CLIENT */
    char reverse_path[PATH_OCTETS_MAX], forward_path[PATH_OCTETS_MAX];
    size_t searched;                   /* octets of the content in which no end is */
    struct message *received;          /* complete, not yet durable */
    struct connection *next_waiting;   /* for the next sync */
    struct connection *next_gone;

    /* NEXT_HOP */
    struct message *sent;
    int replies_owed;
};

static int poller;
static int log_fd;
static off_t log_end;
static struct sockaddr_in next_hop;
static struct connection *waiting_for_sync;
static struct connection *gone; /* closed in this round, whose events may still name them */
static struct message *queue_head, **queue_tail = &queue_head;
static struct connection *pool[POOL_CONNECTIONS_MAX];
static int pool_count;

static void fail(const char *what)
{
    fprintf(stderr, "relay_floor: %s: %s\n", what, errno ? strerror(errno) : "not expected");
    exit(1);
}

static void *checked(void *memory)
{
    if (!memory)
        fail("memory");
    return memory;
}

/* ---- connections ------------------------------------------------------------------------------------------------ */

static struct connection *watch(int fd, enum role role, enum state state)
{
    struct connection *c = checked(calloc(1, sizeof *c));
    c->fd = fd;
    c->role = role;
    c->state = state;
    if (role != LISTENER) {
        int on = 1;
        c->input_room = INPUT_OCTETS_START;
        c->input = checked(malloc(c->input_room));
        if (fcntl(fd, F_SETFL, O_NONBLOCK) || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on))
            fail("connection");
    }
    struct epoll_event interest = { .events = EPOLLIN, .data.ptr = c };
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &interest))
        fail("epoll");
    return c;
}

static void hang_up(struct connection *c)
{
    if (c->role == NEXT_HOP)
        fail("the next hop hung up");
    close(c->fd);
    c->fd = -1;
    c->next_gone = gone;
    gone = c;
}

static void free_gone(void)
{
    while (gone) {
        struct connection *c = gone;
        gone = c->next_gone;
        free(c->input);
        free(c);
    }
}

static void say(struct connection *c, const char *text, size_t octets)
{
    while (octets) {
        ssize_t written = write(c->fd, text, octets);
        if (written < 0) {
            if (errno != EAGAIN) {
                if (c->role == NEXT_HOP)
                    fail("write to the next hop");
                return; /* a client that is gone: the next read says so */
            }
            /* The peer is slower than we are. Waiting for it here is what a relay without buffers does. */
            struct pollfd writable = { .fd = c->fd, .events = POLLOUT };
            poll(&writable, 1, -1);
            continue;
        }
        text += written;
        octets -= (size_t)written;
    }
}

#define SAY(c, text) say((c), (text), sizeof(text) - 1)

static void consume(struct connection *c, size_t octets)
{
    c->input_octets -= octets;
    memmove(c->input, c->input + octets, c->input_octets);
}

/* ---- out: the pool of connections to the next hop --------------------------------------------------------------- */

static void connect_to_next_hop(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&next_hop, sizeof next_hop))
        fail("connect to the next hop");
    pool[pool_count++] = watch(fd, NEXT_HOP, GREETING);
}

/* Hand what is queued to connections that are idle, then see to it that there are enough. */
static void send_queued(void)
{
    int connecting = 0;
    for (int i = 0; i < pool_count; i++) {
        struct connection *c = pool[i];
        connecting += c->state == GREETING || c->state == HELLO;
        if (c->state != IDLE || !queue_head)
            continue;
        struct message *m = queue_head;
        queue_head = m->next;
        if (!queue_head)
            queue_tail = &queue_head;
        c->sent = m;
        c->state = BUSY;
        c->replies_owed = 4; /* MAIL, RCPT, DATA, the end of the content */
        say(c, m->bytes, m->octets);
    }
    if (queue_head && pool_count < POOL_CONNECTIONS_MAX && connecting < CONNECTING_MAX)
        connect_to_next_hop();
}

static void on_next_hop_reply(struct connection *c)
{
    switch (c->state) {
    case GREETING:
        SAY(c, "EHLO floor\r\n");
        c->state = HELLO;
        break;
    case HELLO:
        c->state = IDLE;
        break;
    case BUSY:
        if (--c->replies_owed == 0) {
            free(c->sent);
            c->sent = NULL;
            c->state = IDLE;
        }
        break;
    default:
        errno = 0;
        fail("a reply that nothing asked for");
    }
}

static void read_replies(struct connection *c)
{
    size_t done = 0;
    char *end;
    while ((end = memmem(c->input + done, c->input_octets - done, "\r\n", 2))) {
        const char *line = c->input + done;
        done = (size_t)(end + 2 - c->input);
        if (*line != '2' && *line != '3') {
            fprintf(stderr, "relay_floor: the next hop said %.*s\n", (int)(end - line), line);
            exit(1);
        }
        if (end - line < 4 || line[3] == ' ') /* else the reply goes on */
            on_next_hop_reply(c);
    }
    consume(c, done);
}

/* ---- in: clients ------------------------------------------------------------------------------------------------ */

/* True where the content is complete; then the client waits for the next sync. */
static bool read_content(struct connection *c)
{
    char *end = memmem(c->input + c->searched, c->input_octets - c->searched, "\r\n.\r\n", 5);
    if (!end) {
        c->searched = c->input_octets > 4 ? c->input_octets - 4 : 0; /* the end may be half here */
        return false;
    }
    size_t content_octets = (size_t)(end + 5 - c->input);
    struct message *m = checked(malloc(sizeof *m + 2 * PATH_OCTETS_MAX + 64 + content_octets));
    m->next = NULL;
    m->commands_octets = (size_t)sprintf(
        m->bytes, "MAIL FROM:%s\r\nRCPT TO:%s\r\nDATA\r\n", c->reverse_path, c->forward_path);
    memcpy(m->bytes + m->commands_octets, c->input, content_octets);
    m->octets = m->commands_octets + content_octets;
    consume(c, content_octets);
    c->state = COMMANDS;
    c->received = m;
    c->next_waiting = waiting_for_sync;
    waiting_for_sync = c;
    return true;
}

static void keep_path(char *path, const char *line, size_t prefix_octets)
{
    if (strlen(line) < prefix_octets || sscanf(line + prefix_octets, "%511s", path) != 1) {
        errno = 0;
        fail("a command without a path");
    }
}

/* False where the client is gone. */
static bool obey(struct connection *c, const char *line)
{
    if (!strncasecmp(line, "MAIL", 4)) {
        keep_path(c->reverse_path, line, sizeof "MAIL FROM:" - 1);
        SAY(c, "250 ok\r\n");
    } else if (!strncasecmp(line, "RCPT", 4)) {
        keep_path(c->forward_path, line, sizeof "RCPT TO:" - 1);
        SAY(c, "250 ok\r\n");
    } else if (!strncasecmp(line, "DATA", 4)) {
        SAY(c, "354 go on\r\n");
        c->state = CONTENT;
        c->searched = 0;
    } else if (!strncasecmp(line, "QUIT", 4)) {
        SAY(c, "221 bye\r\n");
        hang_up(c);
        return false;
    } else if (!strncasecmp(line, "EHLO", 4)) {
        SAY(c, "250-floor\r\n250-PIPELINING\r\n250 8BITMIME\r\n");
    } else {
        SAY(c, "250 ok\r\n");
    }
    return true;
}

static void read_client(struct connection *c)
{
    char *end;
    /* While a message waits for its sync, what follows it waits too: replies stay in order. */
    while (c->fd >= 0 && !c->received) {
        if (c->state == CONTENT) {
            if (!read_content(c))
                return;
            continue;
        }
        if (!(end = memmem(c->input, c->input_octets, "\r\n", 2)))
            return;
        *end = 0;
        if (!obey(c, c->input))
            return;
        consume(c, (size_t)(end + 2 - c->input));
    }
}

static void accept_clients(int listener)
{
    int fd;
    while ((fd = accept(listener, NULL, NULL)) >= 0)
        SAY(watch(fd, CLIENT, COMMANDS), "220 floor ESMTP\r\n");
    if (errno != EAGAIN && errno != ECONNABORTED)
        fail("accept");
}

/* ---- the promise ------------------------------------------------------------------------------------------------ */

/* One sync for all messages that wait; only then each gets its answer, and is queued. */
static void commit(struct connection *batch)
{
    for (struct connection *c = batch; c; c = c->next_waiting) {
        const struct message *m = c->received;
        size_t content_octets = m->octets - m->commands_octets;
        if (log_end + (off_t)content_octets > LOG_OCTETS)
            log_end = 0;
        if (pwrite(log_fd, m->bytes + m->commands_octets, content_octets, log_end) != (ssize_t)content_octets)
            fail("write to the log");
        log_end += (off_t)content_octets;
    }
    if (fdatasync(log_fd))
        fail("fdatasync");
    for (struct connection *c = batch, *next; c; c = next) {
        next = c->next_waiting; /* read_client may put *c* on the list of the next batch */
        struct message *m = c->received;
        c->received = NULL;
        *queue_tail = m;
        queue_tail = &m->next;
        if (c->fd < 0)
            continue; /* gone meanwhile: its message is durable, and goes on */
        SAY(c, "250 queued\r\n");
        if (c->input_octets)
            read_client(c);
    }
}

/* ---- the loop --------------------------------------------------------------------------------------------------- */

static void on_readable(struct connection *c)
{
    if (c->input_room - c->input_octets < READ_OCTETS_MIN) {
        c->input_room *= 2;
        c->input = checked(realloc(c->input, c->input_room));
    }
    ssize_t octets = read(c->fd, c->input + c->input_octets, c->input_room - c->input_octets);
    if (octets <= 0) {
        if (octets == 0 || errno != EAGAIN)
            hang_up(c);
        return;
    }
    c->input_octets += (size_t)octets;
    if (c->role == NEXT_HOP)
        read_replies(c);
    else
        read_client(c);
}

static struct connection *listen_on(int port)
{
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in here = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on)
        || bind(fd, (struct sockaddr *)&here, sizeof here) || listen(fd, BACKLOG_MAX))
        fail("listen");
    return watch(fd, LISTENER, COMMANDS);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fputs("usage: relay_floor LISTEN_PORT NEXT_HOP_PORT LOG_FILE\n", stderr);
        return 2;
    }
    next_hop = (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)atoi(argv[2])),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    /* Room taken beforehand, so that a sync writes data and not also the file's new length. */
    log_fd = open(argv[3], O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (log_fd < 0 || (errno = posix_fallocate(log_fd, 0, LOG_OCTETS)))
        fail(argv[3]);
    poller = epoll_create1(0);
    listen_on(atoi(argv[1]));
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(poller, events, EVENTS_MAX, -1);
        if (count < 0 && errno != EINTR)
            fail("epoll_wait");
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (c->role == LISTENER)
                accept_clients(c->fd);
            else if (c->fd >= 0)
                on_readable(c);
        }
        while (waiting_for_sync) {
            struct connection *batch = waiting_for_sync;
            waiting_for_sync = NULL;
            commit(batch);
        }
        free_gone();
        send_queued();
    }
}
