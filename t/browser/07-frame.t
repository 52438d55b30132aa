# The iframe mode: http and https pages of one site keep the session of another, by token and by cookies; and who is not
# asked to hears nothing and moves nothing.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Browser;
use Heartbeat::Ports;
use Heartbeat::Test;
use Heartbeat::Token;
use Test::More;

my $SECRET = 'a secret of this test, 32 bytes or more';
my $key = Heartbeat::Token::key_file(workplace(), 'token.key', $SECRET);
sub token { my ($sid, %o) = @_; return Heartbeat::Token::mint($SECRET, sid => $sid, %o) }

# The pages of login.test: one for each test that looks at what it was asked.
my @PLAIN = qw(memory token refused hidden idle tabs cookie allowed same strict history plain asked denied granted ajar stranger);
my %SPECIAL = (
    limited => [ [ heartbeat_rate => '6r/m', 'burst=0' ] ],
    partitioned => [ [ heartbeat_cookie => 'hb', 'Secure', 'HttpOnly', 'SameSite=None', 'Partitioned' ] ],
    foreign => [ [ heartbeat_origin => 'https://other.example' ] ],
);

sub login {
    my ($server) = @_;
    return {
        name => 'login.test', tls => 1,
        settings => [
            [ heartbeat_ids => 'plain' ], [ heartbeat_interval => '1s' ], [ heartbeat_timeout => '3s' ], [ heartbeat_grace => '1s' ],
            [ heartbeat_key_file => $key ], [ heartbeat_keepalive_timeout => '5s' ],
            [ heartbeat_origin => 'http://shop.test:' . $server->port, 'http://login.test:' . $server->port, 'https://shop.test:' . $server->tls_port ],
        ],
        locations => { '/hb/client.js' => { endpoint => 'script' }, map { ("/in/$_" => { endpoint => 'page', settings => $SPECIAL{$_} // [] }) } @PLAIN, keys %SPECIAL },
    };
}

sub pages {
    my ($server) = @_;
    my $login = 'https://login.test:' . $server->tls_port;
    my $other = 'https://other.test:' . $server->tls_port;
    my $lie = '{ type: "heartbeat", state: "alive", status: 200, seconds: 0 }';
    my $framed = sub { my ($path, $more, @body) = @_; return page(qq(data-frame="$login$path" @{[ $more // '' ]}), @body) };
    my %pages = map { ("/$_.html" => $framed->("/in/$_")) } qw(cookie allowed limited partitioned foreign stranger history);
    $pages{"/$_.html"} = $framed->("/in/$_", 'data-token="' . token("by-$_") . '"') for qw(token memory hidden tabs same);
    $pages{'/idle.html'} = $framed->('/in/idle', 'data-token="' . token('by-idle') . '"') =~ s/client\.js/short.js/r;
    $pages{'/history.html'} =~ s/client\.js/slow.js/;
    $pages{'/refused.html'} = $framed->('/in/refused', 'data-token="' . token('late', exp => time - 1000) . '"');
    $pages{'/dead.html'} = page('data-frame="https://login.test:' . Heartbeat::Ports::free() . '/in/token"');
    $pages{"/$_.html"} = $framed->("/in/$_", 'data-storage="#keep"', '<div id="keep" data-ask="Remain signed in" hidden>So that you stay signed in: </div>')
        for qw(asked denied granted ajar);
    my $policy = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; frame-src $login";
    $pages{'/strict.html'} = $framed->('/in/strict', 'data-token="' . token('by-strict') . '"') =~ s{<script}{<meta http-equiv="Content-Security-Policy" content="$policy">\n<script}r;
    $pages{'/plain.html'} = qq(<!doctype html>\n<title>No script</title>\n<iframe src="$login/in/plain?t=@{[ token('by-plain') ]}" hidden></iframe>\n);

    # Who should not be heard: the page itself, another window of the right origin, the right window of another origin.
    my $liar = "<!doctype html>\n<title>Liar</title>\n<script>setInterval(() => parent.postMessage($lie, '*'), 50)</script>\n";
    $pages{'/silent.html'} = "<!doctype html>\n<title>Silent</title>\n";
    $pages{'/liar.html'} = $liar;
    $pages{'/away.html'} = "<!doctype html>\n<title>Away</title>\n<script>location.replace('$other/liar.html')</script>\n";
    $pages{'/self.html'} = $framed->('/silent.html', '', "<script>setInterval(() => postMessage($lie, '*'), 50)</script>");
    $pages{'/sibling.html'} = $framed->('/silent.html', '', qq(<iframe src="$login/liar.html" hidden></iframe>));
    $pages{'/moved.html'} = $framed->('/away.html');

    # And a page that tells and hears only its own: in a frame of a stranger, as if the browser did not know frame-ancestors.
    $pages{'/listen.html'} = "<!doctype html>\n<title>Stranger</title>\n<script>window.told = []; addEventListener('message', ({ data }) => told.push(data))</script>\n"
        . qq(<iframe src="$login/copy.html?ask=" hidden onload="frames[0].postMessage({ type: 'heartbeat', query: 'moved=1' }, '*')"></iframe>\n);
    $pages{'/meddler.html'} = "<!doctype html>\n<title>Meddler</title>\n<script>setInterval(() => parent.frames[0].postMessage({ type: 'heartbeat', query: 'moved=1' }, '*'), 50)</script>\n";
    $pages{'/sibling-of-page.html'} = qq(<!doctype html>\n<title>Two</title>\n<iframe src="$login/in/stranger?b=1"></iframe>\n<iframe src="/meddler.html"></iframe>\n);
    return \%pages;
}

my $redis = redis();
my $server = site(
    tls => 1, others => \&login, pages => \&pages,
    main => [ [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '100ms' ] ],
    settings => [ [ heartbeat_key_file => $key ] ],
    locations => {
        '/hb/short.js' => { endpoint => 'script', settings => [ [ heartbeat_idle => '3s' ] ] },
        '/hb/slow.js' => { endpoint => 'script', settings => [ [ heartbeat_interval => '4s' ] ] },
    },
);
my $copy = $server->fetch('GET', '/in/foreign', host => 'login.test', tls => 1)->body;
like($copy, qr{data-origins="https://other\.example "}, 'a page for a stranger');
Heartbeat::Server::write_file("$server->{dir}/htdocs/copy.html", $copy);

in_browser('07-frame.mjs', $server,
    given => { shop => 'http://shop.test:' . $server->port, safe => 'https://shop.test:' . $server->tls_port,
        http_login => 'http://login.test:' . $server->port, login => 'https://login.test:' . $server->tls_port },
    calls => {
        session => sub { $redis->session('login.test', $_[0]) },
        online => sub { defined $redis->call('ZSCORE', 'hb:{login.test}:online', $_[0]) ? 1 : 0 },
    },
);
no_bad_log_lines();
done_testing;
