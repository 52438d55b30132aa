# What the script is to the page around it: strict policies, two tags, an API, the way back, next to no work.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Browser;
use Heartbeat::Test;
use Test::More;

sub policy {
    my ($policy) = @_;
    return {
        native_nginx => qq(            add_header Content-Security-Policy "$policy";\n),
        native_apache => qq(        Header set Content-Security-Policy "$policy"\n),
    };
}
my $self = "default-src 'none'; script-src 'self'; connect-src 'self'";
my $server = site(
    settings => [ [ heartbeat_keepalive_timeout => '75s' ] ],
    locations => {
        '/strict/' => policy("$self; worker-src 'self'"),
        '/nonce/' => policy("default-src 'none'; script-src 'nonce-n0nce'; connect-src 'self'; worker-src 'self'"),
        '/workless/' => policy("$self; worker-src 'none'"),
        '/hb/short.js' => { endpoint => 'script', settings => [ [ heartbeat_idle => '4s' ] ] },
        '/hb/slow.js' => { endpoint => 'script', settings => [ [ heartbeat_interval => '20s' ] ] },
    },
    pages => {
        '/page.html' => page(''), '/slow.html' => page('') =~ s/client\.js/slow.js/r, '/plain.html' => '<!doctype html><title>Plain</title><p>Another page.',
        '/strict/page.html' => page(''),
        '/nonce/page.html' => page('nonce="n0nce"') =~ s{<script src="/record}{<script nonce="n0nce" src="/record}r,
        '/workless/page.html' => page(''), '/workless/off.html' => page('data-worker="off"'),
        '/twice.html' => page('', '<p id="heartbeat">An id that is also a name.</p><script src="/hb/client.js"></script><script src="/hb/client.js" async></script>'),
        '/later.html' => page('data-start="off"'),
        '/video.html' => page('data-playing="video.lesson"', '<video class="lesson" muted></video><script src="/video.js"></script>') =~ s/client\.js/short.js/r,
        '/wrong.html' => page('data-playing="video["'),
        '/video.js' => "const canvas = document.createElement('canvas');\nconst paper = canvas.getContext('2d');\n"
            . "setInterval(() => paper.fillRect(0, 0, 9, 9), 100);\n"
            . "const video = document.querySelector('video');\nvideo.srcObject = canvas.captureStream(5);\nvideo.play();\n",
    },
);
in_browser('05-page.mjs', $server);
no_bad_log_lines();
done_testing;
