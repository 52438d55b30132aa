# heartbeat_transports: the order that pages are told, as the operator wrote it or by what was lost of each.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Heartbeat::Token;
use POSIX qw(strftime);
use Test::More;

my $keys = Heartbeat::Token::key_file(workplace(), 'views.key', 'of page views, long enough to be one');
my $redis = redis();
my @day = map { strftime('%Y-%m-%d', gmtime(time - $_ * 86400)) } 0, 1;

sub counted { my ($site, $day, %count) = @_; $redis->call('HSET', "hb:{$site}:delivery:$day", $_, $count{$_}) for keys %count }
# Chromium: fetchLater loses a tenth, an image one in a hundred, fetch half. Firefox: images lose most of what they carry.
counted('auto', $day[0], 'chosen-leave:fetchLater:chromium' => 450, 'chosen-lost:fetchLater:chromium' => 50, 'chosen-leave:image:chromium' => 495,
    'chosen-lost:image:chromium' => 5, 'leave:beacon:chromium' => 10000, 'chosen-load:beacon:chromium' => 10000);
counted('auto', $day[1], 'chosen-leave:fetch:chromium' => 50, 'chosen-lost:fetch:chromium' => 50, 'chosen-lost:image:firefox' => 90, 'chosen-leave:image:firefox' => 10,
    'chosen-leave:beacon:firefox' => 99, 'chosen-lost:beacon:firefox' => 1);
counted('parts/' . $_, $day[0], 'chosen-leave:image:chromium' => 30, 'chosen-leave:beacon:chromium' => 20, 'chosen-lost:beacon:chromium' => 10) for 0, 1;

sub scripts { my (@settings) = @_; return { '/s.js' => { endpoint => 'script', settings => [@settings] } } }
my $server = server(
    main => [ [ heartbeat_zone => '1m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '100ms' ], [ heartbeat_spool => workplace() . '/spool' ] ],
    vhosts => [ map { { %$_, settings => [ [ heartbeat_key_file => $keys ], @{ $_->{settings} } ] } }
        { name => 'one.test', settings => [ [ heartbeat_site => 'auto' ], [ heartbeat_transports => 'auto' ] ], locations => {
            %{ scripts() }, '/fixed.js' => { endpoint => 'script', settings => [ [ heartbeat_transports => 'image', 'fetch' ] ] } } },
        { name => 'two.test', settings => [ [ heartbeat_site => 'parts' ], [ heartbeat_shards => 2 ], [ heartbeat_transports => 'auto' ] ], locations => scripts() },
        { name => 'three.test', settings => [ [ heartbeat_site => 'new' ], [ heartbeat_transports => 'auto' ] ], locations => scripts() },
    ],
)->start;

my %agents = (
    chromium => 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
    firefox => 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
    safari => 'Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15',
);

sub order {
    my ($host, $browser, $path) = @_;
    my $body = $server->fetch('GET', $path // '/s.js', host => $host, headers => ["User-Agent: $agents{$browser}"])->body;
    my ($list) = $body =~ /order:\[([^\]]*)\]/;
    return $list =~ s/"//gr =~ s/,/ /gr;
}

# The one that most of some page views are told.
sub usual { my ($host, $browser) = @_; my %n; $n{ order($host, $browser) }++ for 1 .. 15; return (sort { $n{$b} <=> $n{$a} } keys %n)[0] }

order($_, 'chromium') for qw(one.test two.test three.test); # asked for, from now on

subtest 'by loss' => sub {
    eventually { usual('one.test', 'chromium') =~ /^image fetchLater/ } 8;
    is(usual('one.test', 'chromium'), 'image fetchLater fetch beacon', 'what loses least comes first, what nobody has tried last');
    is(usual('one.test', 'firefox'), 'beacon image fetchLater fetch', 'each family has its own');
    is(usual('one.test', 'safari'), 'fetchLater beacon fetch image', 'nothing is known of this one: as by default');
    is(order('one.test', 'chromium', '/fixed.js'), 'image fetch', 'the operator has the last word') for 1 .. 5;
};

subtest 'the parts of a site together' => sub {
    eventually { usual('two.test', 'chromium') =~ /^image beacon/ } 8;
    is(usual('two.test', 'chromium'), 'image beacon fetchLater fetch', 'sixty of each are enough, thirty would not be');
};

subtest 'nothing is known yet' => sub { is(usual('three.test', 'chromium'), 'fetchLater beacon fetch image', 'as by default') };

subtest 'a share is random' => sub {
    my ($first, %first) = ('image');
    for (1 .. 300) { my ($transport) = split ' ', order('one.test', 'firefox'); $first{$transport}++ }
    cmp_ok($first{beacon}, '>', 200, 'most begin with the best') or diag explain \%first;
    cmp_ok(300 - $first{beacon}, '>', 3, 'some do not');
    ok(!$first{fetchLater}, 'none with what this browser does not have');
};

subtest 'the choice is what is counted' => sub {
    my $count = sub { my %c = @{ $redis->call('HGETALL', "hb:{auto}:delivery:$day[0]") }; my $n = 0; $n += $c{$_} for grep {/^script:[^:]+:safari$/} keys %c; return ($n, $c{'script:beacon:safari'} // 0) };
    my ($before) = $count->();
    order('one.test', 'safari') for 1 .. 10;
    ok(eventually(sub { ($count->())[0] == $before + 10 }, 5), 'ten page views');
    cmp_ok(($count->())[1], '>', 0, 'fetchLater, which it does not have, is not its first');
};

no_bad_log_lines();
done_testing;
